"""Credentials of more kinds than tokens: when each was last used and from where, and what its kind keeps beside."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("credential") as table:
        table.alter_column("principal", existing_type=sa.Text(), nullable=True)
        table.add_column(sa.Column("used_at", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("used_from", sa.Text(), nullable=True))
        table.add_column(sa.Column("facts", sa.JSON(), server_default=sa.text("'{}'"), nullable=False))
    op.create_index(
        op.f("ix_credential_expires"),
        "credential",
        ["expires_at"],
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    # The one that the first start has made is a kind of its own: its use is an alarm once its principal is disabled.
    op.execute("UPDATE credential SET kind = 'owner' WHERE label = 'made at the first start'")
