"""A grant tells which other grant it moves to another source."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("grants") as grants:
        grants.add_column(sa.Column("moved_from", sa.Text(), nullable=True))
