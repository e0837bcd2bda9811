"""Hosts elsewhere: who has joined, by which token, and who was turned away at their ports."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _create_host()
    op.create_table(
        "join_token",
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("resource_group", sa.Text(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["credential"], ["credential.id"], name=op.f("fk_join_token_credential")),
        sa.PrimaryKeyConstraint("credential", name=op.f("pk_join_token")),
    )
    op.create_table(
        "attempt",
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["machine"], ["machine.uuid"], name=op.f("fk_attempt_machine")),
        sa.PrimaryKeyConstraint("machine", "port", "protocol", "source", name=op.f("pk_attempt")),
        sqlite_with_rowid=False,
    )


def _create_host() -> None:
    op.create_table(
        "host",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("resource_group", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_key", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_from", sa.Text(), nullable=True),
        sa.Column("joined_at", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("silent", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["token"], ["credential.id"], name=op.f("fk_host_token")),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_host")),
        sa.UniqueConstraint("public_key", name=op.f("uq_host_public_key")),
    )
    joined, heard = sa.text("state = 'joined'"), sa.text("state = 'joined' AND NOT silent")
    op.create_index(
        "uq_host_scope_key_joined", "host", ["scope_key"], unique=True, sqlite_where=joined, postgresql_where=joined
    )
    op.create_index("ix_host_scope", "host", ["scope_key"])
    op.create_index("ix_host_heard", "host", ["heard_at"], sqlite_where=heard, postgresql_where=heard)
