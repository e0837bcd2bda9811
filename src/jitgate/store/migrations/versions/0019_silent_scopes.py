"""Since when nothing is heard of the process beside a replica that holds a firewall."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    with op.batch_alter_table("scope_state") as table:
        table.add_column(sa.Column("silent_since", sa.BigInteger(), nullable=True))
