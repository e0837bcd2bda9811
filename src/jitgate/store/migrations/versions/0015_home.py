"""Which replica reaches a firewall whose agent talks to one of them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    with op.batch_alter_table("scope_state", recreate="always") as table:
        table.add_column(sa.Column("home", sa.Text(), nullable=True))
