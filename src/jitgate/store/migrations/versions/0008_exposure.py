"""Who reaches the ports of machines without a grant."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.batch_alter_table("machine") as table:
        table.add_column(sa.Column("exposure", sa.JSON(), server_default=sa.text("'[]'"), nullable=False))
        table.add_column(sa.Column("exposed", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_index(op.f("ix_machine_exposed"), "machine", ["exposed"])
