"""Approvals, reviews, freezes, and how far notifications have got."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _create_index("ix_grants_pending", "grants", "asked_at", "state = 'pending'")
    _create_approval()
    _create_review()
    _create_freeze()
    _create_notify_cursor()


def _create_approval() -> None:
    op.create_table(
        "approval",
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request"], ["request.uid"], name=op.f("fk_approval_request")),
        sa.ForeignKeyConstraint(["principal"], ["principal.uid"], name=op.f("fk_approval_principal")),
        sa.PrimaryKeyConstraint("request", "principal", name=op.f("pk_approval")),
    )


def _create_review() -> None:
    op.create_table(
        "review",
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=True),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["request"], ["request.uid"], name=op.f("fk_review_request")),
        sa.ForeignKeyConstraint(["reviewed_by"], ["principal.uid"], name=op.f("fk_review_reviewed_by")),
        sa.PrimaryKeyConstraint("request", name=op.f("pk_review")),
    )
    _create_index("ix_review_open", "review", "opened_at", "reviewed_at IS NULL")


def _create_freeze() -> None:
    op.create_table(
        "freeze",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("thawed_at", sa.BigInteger(), nullable=True),
        sa.Column("thawed_by", sa.Text(), nullable=True),
        sa.Column("thaw_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["principal.uid"], name=op.f("fk_freeze_person")),
        sa.ForeignKeyConstraint(["by"], ["principal.uid"], name=op.f("fk_freeze_by")),
        sa.ForeignKeyConstraint(["thawed_by"], ["principal.uid"], name=op.f("fk_freeze_thawed_by")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_freeze")),
    )
    _create_index("ix_freeze_in_force", "freeze", "key", "thawed_at IS NULL")


def _create_notify_cursor() -> None:
    op.create_table(
        "notify_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_notify_cursor")),
    )


def _create_index(name: str, table: str, column: str, condition: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
