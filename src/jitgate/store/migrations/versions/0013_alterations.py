"""Alterations: what jitgate changes of what others made, with originals and consent; and previews of plans."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "alteration",
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("original", sa.JSON(), nullable=False),
        sa.Column("ports", sa.JSON(), nullable=False),
        sa.Column("concerns", sa.JSON(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("agreed_at", sa.BigInteger(), nullable=True),
        sa.Column("agreed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("connector", "key", name=op.f("pk_alteration")),
    )
    op.create_index("ix_alteration_scope", "alteration", ["scope"])
    op.create_table(
        "alteration_need",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connector", "key"],
            ["alteration.connector", "alteration.key"],
            name=op.f("fk_alteration_need_alteration"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("scope", "connector", "key", name=op.f("pk_alteration_need")),
    )
    op.create_index("ix_alteration_need_key", "alteration_need", ["connector", "key"])
    _create_preview()


def _create_preview() -> None:
    op.create_table(
        "preview",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("ports", sa.JSON(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("steps", sa.JSON(), nullable=True),
        sa.Column("alterations", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["machine"], ["machine.uuid"], name=op.f("fk_preview_machine")),
        sa.ForeignKeyConstraint(["asked_by"], ["principal.uid"], name=op.f("fk_preview_asked_by")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_preview")),
    )
    waits = sa.text("answered_at IS NULL")
    op.create_index("ix_preview_open", "preview", ["scope"], sqlite_where=waits, postgresql_where=waits)
