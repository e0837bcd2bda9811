"""How machines stand with just-in-time access, what they are found by, and their last access: kept in their rows."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from jitgate.core.resource_id import key

revision = "0012"
down_revision = "0011"

_STANDING = """
    UPDATE machine SET standing = CASE
        WHEN unsupported != '' OR EXISTS (
            SELECT 1 FROM jit_disabled d
            WHERE substr(machine.id_key, 1, length(d.scope_key) + 1) = d.scope_key || '/'
        ) THEN 'unsupported'
        WHEN EXISTS (SELECT 1 FROM policy_machine p WHERE p.machine_key = machine.id_key) THEN 'configured'
        ELSE 'notConfigured'
    END
"""
_LAST = """
    SELECT machine, principal, opened_at FROM grants
    WHERE opened_at IS NOT NULL ORDER BY machine, opened_at, uid
"""

_INDEXES = {
    "ix_machine_by_name": ["standing", "name_key", "uuid"],
    "ix_machine_by_exposure": ["standing", "exposed", "name_key", "uuid"],
    "ix_machine_by_access": ["standing", "accessed_at", "uuid"],
}


def upgrade() -> None:
    with op.batch_alter_table("machine") as table:
        table.add_column(sa.Column("standing", sa.Text(), server_default=sa.text("'notConfigured'"), nullable=False))
        table.add_column(sa.Column("words", sa.Text(), server_default=sa.text("''"), nullable=False))
        table.add_column(sa.Column("accessed_at", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        table.add_column(sa.Column("accessed_by", sa.Text(), nullable=True))
    present = sa.text("removed_at IS NULL")
    op.drop_index("ix_machine_exposed", "machine")
    for name, columns in _INDEXES.items():
        op.create_index(name, "machine", columns, sqlite_where=present, postgresql_where=present)
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    connection.execute(sa.text(_STANDING))
    found = [{"of": row.uuid, "words": _words(row)} for row in connection.execute(_told)]
    last = {row.machine: {"of": row.machine, "at": row.opened_at, "by": row.principal} for row in _opened(connection)}
    for column, rows in (("words = :words", found), ("accessed_at = :at, accessed_by = :by", list(last.values()))):
        if rows:
            connection.execute(sa.text(f"UPDATE machine SET {column} WHERE uuid = :of"), rows)  # noqa: S608 - two constants


def _opened(connection: sa.Connection) -> sa.CursorResult[Any]:
    return connection.execute(sa.text(_LAST))


def _words(row: sa.Row[Any]) -> str:
    """As `core.catalogue.words` wrote them then."""
    lines = [row.name, *row.addresses]
    for name, value in row.tags.items():
        lines += [f"{name}=", f"{name}={value}"]
    return "\n" + "".join(key(" ".join(line.split())) + "\n" for line in lines)


_told = sa.select(
    sa.column("uuid"), sa.column("name"), sa.column("addresses", sa.JSON), sa.column("tags", sa.JSON)
).select_from(sa.table("machine"))
