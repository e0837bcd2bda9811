"""Gateways elsewhere: they join as hosts do."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    with op.batch_alter_table("host") as table:
        table.add_column(sa.Column("kind", sa.Text(), server_default=sa.text("'host'"), nullable=False))
        table.add_column(sa.Column("address", sa.Text(), server_default=sa.text("''"), nullable=False))
