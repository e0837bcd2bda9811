"""Groups, roles of an installation's own, and assignments that name a role by its id.

The table of assignments is made again: SQLite can add neither a column that must have a value nor an index with it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BUILT_IN = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Security Reader": "39bc4728-0917-49c7-9d2c-d95423bc2eb4",
    "Security Admin": "fb1c8493-542b-48eb-b624-b4c8fea62acd",
    "JIT Requester": "4f1f6a3e-0a5c-4f0b-9f0e-5b8f2c6d7a11",
    "JIT Approver": "7c2b9d54-31e8-4c0d-8a6f-e94d1b0f3c22",
    "Auditor": "a3d85e70-6b42-4e19-b5c7-2f90c8e1d633",
}


def upgrade() -> None:
    given = op.get_bind().execute(sa.text("SELECT * FROM role_assignment ORDER BY created_at, uid")).mappings().all()
    op.drop_table("role_assignment")
    _create_group_member()
    _create_role_definition()
    table = _create_role_assignment()
    # What was given twice was given once.
    rows = {(row["principal"], row["role"], row["scope"].lower()): _row(row) for row in reversed(given)}
    if rows:
        op.bulk_insert(table, list(rows.values()))


def _row(given: Any) -> dict[str, Any]:
    more = {"role": BUILT_IN.get(given["role"], given["role"]), "scope_key": given["scope"].lower(), "description": ""}
    return {**given, **more, "created_by": None}


def _create_group_member() -> None:
    op.create_table(
        "group_member",
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group"], ["principal.uid"], name=op.f("fk_group_member_group")),
        sa.ForeignKeyConstraint(["member"], ["principal.uid"], name=op.f("fk_group_member_member")),
        sa.PrimaryKeyConstraint("group", "member", name=op.f("pk_group_member")),
    )
    op.create_index(op.f("ix_group_member_member"), "group_member", ["member"], unique=False)


def _create_role_definition() -> None:
    op.create_table(
        "role_definition",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        sa.Column("not_actions", sa.JSON(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_definition")),
        sa.UniqueConstraint("name_key", name=op.f("uq_role_definition_name_key")),
    )


def _create_role_assignment() -> sa.Table:
    table = op.create_table(
        "role_assignment",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("scope_key", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principal.uid"], name=op.f("fk_role_assignment_principal")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_role_assignment")),
    )
    unique = ["principal", "role", "scope_key"]
    op.create_index("uq_role_assignment_principal_role_scope", "role_assignment", unique, unique=True)
    op.create_index(op.f("ix_role_assignment_role"), "role_assignment", ["role"], unique=False)
    op.create_index(op.f("ix_role_assignment_scope_key"), "role_assignment", ["scope_key"], unique=False)
    return table
