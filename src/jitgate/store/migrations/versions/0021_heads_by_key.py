"""Which keys have sealed, found without reading all heads."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_index("ix_activity_head_key", "activity_head", ["key"])
