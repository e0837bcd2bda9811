"""Sealed heads over the record, what stood when, plans, and where just-in-time access is switched off.

Policies, guardrails and roles that stand now become the first states of the history, as of their last change.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Whole batches may go whose head says that they did; the head itself stays, and is never changed otherwise.
_IS_EXPIRED = """EXISTS (SELECT 1 FROM activity_head WHERE expired_at IS NOT NULL
 AND OLD.sequence BETWEEN "first" AND "first" + "count" - 1)"""
_FIXED = ("number", '"first"', '"count"', "root", "previous", "at", '"key"', "signature")
_EXPIRY_POSTGRESQL = f"""
CREATE FUNCTION refuse_activity_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF {_IS_EXPIRED} THEN RETURN OLD; END IF;
  RAISE EXCEPTION 'the activity is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def upgrade() -> None:
    _create_activity_head()
    op.create_index("ix_activity_principal", "activity", ["principal", "operation", "at"], unique=False)
    op.create_table(
        "duty",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_duty")),
    )
    op.bulk_insert(sa.table("duty", sa.column("name")), [{"name": "sealer"}])
    op.create_table(
        "head_delivery",
        sa.Column("outlet", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("outlet", name=op.f("pk_head_delivery")),
    )
    _create_history()
    _create_plans()
    _let_expired_go()
    _begin_history()


def _create_activity_head() -> None:
    op.create_table(
        "activity_head",
        sa.Column("number", _ID, autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("expired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_activity_head")),
        sa.UniqueConstraint("first", name=op.f("uq_activity_head_first")),
    )
    op.create_index(
        "ix_activity_head_kept",
        "activity_head",
        ["number"],
        unique=False,
        sqlite_where=sa.text("expired_at IS NULL"),
        postgresql_where=sa.text("expired_at IS NULL"),
    )


def _create_history() -> None:
    op.create_table(
        "history",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=True),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_history_key", "history", ["kind", "key", "id"], unique=False)


def _create_plans() -> None:
    op.create_table(
        "plan",
        sa.Column("scope_key", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("sub_plan", sa.Text(), nullable=True),
        sa.Column("enforce", sa.Boolean(), nullable=False),
        sa.Column("trial_ends_at", sa.BigInteger(), nullable=True),
        sa.Column("enabled_at", sa.BigInteger(), nullable=True),
        sa.Column("extensions", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("scope_key", name=op.f("pk_plan")),
    )
    op.create_table(
        "jit_disabled",
        sa.Column("scope_key", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["disabled_by"], ["principal.uid"], name=op.f("fk_jit_disabled_disabled_by")),
        sa.PrimaryKeyConstraint("scope_key", name=op.f("pk_jit_disabled")),
    )


def _let_expired_go() -> None:
    """Events are deleted in whole batches whose head says so; heads are never deleted."""
    fixed = f"UPDATE OF {', '.join(_FIXED)}"
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER activity_is_never_deleted ON activity")
        op.execute(_EXPIRY_POSTGRESQL)
        gone = "FOR EACH ROW EXECUTE FUNCTION refuse_activity_delete()"
        refused = "FOR EACH ROW EXECUTE FUNCTION refuse_activity_change()"
    else:
        op.execute("DROP TRIGGER activity_is_never_deleted")
        refused = "FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the activity is append-only'); END"
        gone = refused.replace("ROW BEGIN", f"ROW WHEN NOT {_IS_EXPIRED} BEGIN")
    op.execute(f"CREATE TRIGGER activity_is_never_deleted BEFORE DELETE ON activity {gone}")
    op.execute(f"CREATE TRIGGER activity_head_is_never_changed BEFORE {fixed} ON activity_head {refused}")
    op.execute(f"CREATE TRIGGER activity_head_is_never_deleted BEFORE DELETE ON activity_head {refused}")


def _begin_history() -> None:
    states = [*_principals(), *_roles(), *_members(), *_assignments(), *_policies(), *_guardrails()]
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("kind", "key", "at", "caller")]
    history = sa.table("history", *columns, sa.column("body", sa.JSON()))
    for state in sorted(states, key=lambda state: state["at"]):
        op.execute(history.insert().values({**state, "caller": "jitgate"}))


def _rows(table: str, *columns: sa.ColumnClause[Any]) -> list[Any]:
    return list(op.get_bind().execute(sa.select(*columns).select_from(sa.table(table))))


def _policies() -> list[dict[str, Any]]:
    place = ("uid", "key", "subscription", "resource_group", "location", "name", "updated_at")
    parts: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("policy", "position", "machine_id")]
    machines: dict[str, list[dict[str, Any]]] = {}
    for part in sorted(_rows("policy_machine", *parts, sa.column("ports", sa.JSON())), key=lambda row: row.position):
        machines.setdefault(part.policy, []).append({"id": part.machine_id, "ports": part.ports})
    return [
        {
            "kind": "policy",
            "key": row.key,
            "at": row.updated_at,
            "body": {
                "id": f"/subscriptions/{row.subscription}/resourceGroups/{row.resource_group}/providers"
                f"/Microsoft.Security/locations/{row.location}/jitNetworkAccessPolicies/{row.name}",
                "machines": machines.get(row.uid, []),
            },
        }
        for row in _rows("policy", *[sa.column(name) for name in place])
    ]


def _guardrails() -> list[dict[str, Any]]:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("name_key", "name", "updated_at")]
    return [
        {"kind": "guardrail", "key": row.name_key, "at": row.updated_at, "body": {"name": row.name, **row.body}}
        for row in _rows("guardrail", *columns, sa.column("body", sa.JSON()))
    ]


def _assignments() -> list[dict[str, Any]]:
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(name) for name in ("uid", "principal", "role", "scope", "created_at")
    ]
    return [
        {
            "kind": "assignment",
            "key": row.uid,
            "at": row.created_at,
            "body": {"principal": row.principal, "role": row.role, "scope": row.scope},
        }
        for row in _rows("role_assignment", *columns)
    ]


def _principals() -> list[dict[str, Any]]:
    names = ("uid", "name", "kind", "created_at", "disabled_at")
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    rows = _rows("principal", *columns)
    made = [_principal(row, row.created_at, disabled=False) for row in rows]
    return made + [_principal(row, row.disabled_at, disabled=True) for row in rows if row.disabled_at is not None]


def _principal(row: Any, at: int, *, disabled: bool) -> dict[str, Any]:
    body = {"name": row.name, "kind": row.kind, "disabled": disabled}
    return {"kind": "principal", "key": row.uid, "at": at, "body": body}


def _members() -> list[dict[str, Any]]:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("group", "member", "since")]
    return [
        {
            "kind": "member",
            "key": f"{row.group} {row.member}",
            "at": row.since,
            "body": {"group": row.group, "member": row.member},
        }
        for row in _rows("group_member", *columns)
    ]


def _roles() -> list[dict[str, Any]]:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("id", "name", "updated_at")]
    lists: list[sa.ColumnClause[Any]] = [sa.column(name, sa.JSON()) for name in ("actions", "not_actions")]
    return [
        {
            "kind": "role",
            "key": row.id,
            "at": row.updated_at,
            "body": {"name": row.name, "actions": row.actions, "notActions": row.not_actions},
        }
        for row in _rows("role_definition", *columns, *lists)
    ]
