"""Policies that take machines in by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("policy") as policy:
        policy.add_column(sa.Column("selections", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
        policy.add_column(sa.Column("selects", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("policy_machine") as part:
        part.add_column(sa.Column("selected", sa.Boolean(), nullable=False, server_default=sa.false()))
