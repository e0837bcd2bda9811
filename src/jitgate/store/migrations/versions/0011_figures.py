"""Figures of days, for insights."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "day_figures",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_day_figures")),
    )
    op.create_table(
        "policy_use",
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("longest", sa.Integer(), nullable=False),
        sa.Column("widest_4", sa.Integer(), nullable=True),
        sa.Column("widest_6", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("day", "policy", "port", name=op.f("pk_policy_use")),
        sqlite_with_rowid=False,
    )
