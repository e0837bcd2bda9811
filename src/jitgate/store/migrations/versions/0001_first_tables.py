"""The first tables.

A revision says what was done then, so it refers to nothing that changes later: neither
`jitgate.store.schema` nor the words of `jitgate.core`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

LEGAL_MOVES = (
    ("new", "pending"),
    ("new", "scheduled"),
    ("new", "opening"),
    ("pending", "scheduled"),
    ("pending", "opening"),
    ("pending", "closed"),
    ("scheduled", "opening"),
    ("scheduled", "closed"),
    ("opening", "open"),
    ("opening", "closing"),
    ("open", "closing"),
    ("closing", "closed"),
)

COLUMNS = (
    "id",
    "at",
    "operation",
    "outcome",
    "principal",
    "caller",
    "credential",
    "address",
    "resource",
    "resource_key",
    "correlation",
    "properties",
)
PROTECTION = (
    ("activity_is_never_changed", f"UPDATE OF {', '.join(COLUMNS)}", ""),
    ("activity_is_sealed_once", "UPDATE OF sequence", "WHEN (OLD.sequence IS NOT NULL)"),
    ("activity_is_never_deleted", "DELETE", ""),
)
REFUSAL_POSTGRESQL = """
CREATE FUNCTION refuse_activity_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the activity is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""


def upgrade() -> None:
    _create_activity()
    _create_grant_transition()
    _create_machine()
    _create_meta()
    _create_policy()
    _create_principal()
    _create_scope_state()
    _create_credential()
    _create_guardrail()
    _create_guardrail_proposal()
    _create_policy_machine()
    _create_request()
    _create_role_assignment()
    _create_grants()
    _create_grant_key()
    op.bulk_insert(
        sa.table("grant_transition", sa.column("from_state"), sa.column("to_state")),
        [{"from_state": before, "to_state": after} for before, after in LEGAL_MOVES],
    )
    op.bulk_insert(sa.table("meta", sa.column("name"), sa.column("value")), [{"name": "now", "value": "0"}])
    _protect_activity()


def _create_activity() -> None:
    op.create_table(
        "activity",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=True),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("resource_key", sa.Text(), nullable=False),
        sa.Column("correlation", sa.Text(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity")),
        sa.UniqueConstraint("sequence", name=op.f("uq_activity_sequence")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activity_at", "activity", ["at"], unique=False)
    op.create_index("ix_activity_correlation", "activity", ["correlation"], unique=False)
    op.create_index("ix_activity_resource", "activity", ["resource_key", "at"], unique=False)


def _create_grant_transition() -> None:
    op.create_table(
        "grant_transition",
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("from_state", "to_state", name=op.f("pk_grant_transition")),
    )


def _create_machine() -> None:
    op.create_table(
        "machine",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("id_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("os", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("unsupported", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_machine")),
    )
    op.create_index(op.f("ix_machine_connector"), "machine", ["connector"], unique=False)
    op.create_index(op.f("ix_machine_name_key"), "machine", ["name_key"], unique=False)
    op.create_index(op.f("ix_machine_scope"), "machine", ["scope"], unique=False)
    op.create_index(
        "uq_machine_id_key_present",
        "machine",
        ["id_key"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )


def _create_meta() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )


def _create_policy() -> None:
    op.create_table(
        "policy",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("subscription_key", sa.Text(), nullable=False),
        sa.Column("resource_group", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_policy")),
        sa.UniqueConstraint("key", name=op.f("uq_policy_key")),
    )
    op.create_index(op.f("ix_policy_group_key"), "policy", ["group_key"], unique=False)
    op.create_index(op.f("ix_policy_subscription_key"), "policy", ["subscription_key"], unique=False)


def _create_principal() -> None:
    op.create_table(
        "principal",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_principal")),
        sa.UniqueConstraint("name_key", name=op.f("uq_principal_name_key")),
    )


def _create_scope_state() -> None:
    op.create_table(
        "scope_state",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("sweep_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_scope_state")),
    )
    op.create_index("ix_scope_state_due", "scope_state", ["due_at"], unique=False)


def _create_credential() -> None:
    op.create_table(
        "credential",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principal.uid"], name=op.f("fk_credential_principal")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
    )
    op.create_index(op.f("ix_credential_principal"), "credential", ["principal"], unique=False)


def _create_guardrail() -> None:
    op.create_table(
        "guardrail",
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["updated_by"], ["principal.uid"], name=op.f("fk_guardrail_updated_by")),
        sa.PrimaryKeyConstraint("name_key", name=op.f("pk_guardrail")),
    )


def _create_guardrail_proposal() -> None:
    op.create_table(
        "guardrail_proposal",
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=True),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["proposed_by"], ["principal.uid"], name=op.f("fk_guardrail_proposal_proposed_by")),
        sa.PrimaryKeyConstraint("name_key", name=op.f("pk_guardrail_proposal")),
    )


def _create_policy_machine() -> None:
    op.create_table(
        "policy_machine",
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("machine_key", sa.Text(), nullable=False),
        sa.Column("public_ip_address", sa.Text(), nullable=True),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("ports", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["policy"], ["policy.uid"], name=op.f("fk_policy_machine_policy"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("policy", "position", name=op.f("pk_policy_machine")),
    )
    op.create_index(op.f("ix_policy_machine_machine_key"), "policy_machine", ["machine_key"], unique=False)


def _create_request() -> None:
    op.create_table(
        "request",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("requestor", sa.Text(), nullable=False),
        sa.Column("justification", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=True),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=True),
        sa.Column("approvals", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principal.uid"], name=op.f("fk_request_principal")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_request")),
    )
    op.create_index("ix_request_asked", "request", ["asked_at"], unique=False)
    op.create_index("ix_request_principal_asked", "request", ["principal", "asked_at"], unique=False)


def _create_role_assignment() -> None:
    op.create_table(
        "role_assignment",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principal.uid"], name=op.f("fk_role_assignment_principal")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_role_assignment")),
    )
    op.create_index(op.f("ix_role_assignment_principal"), "role_assignment", ["principal"], unique=False)


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("source_texts", sa.JSON(), nullable=True),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("previous_state", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=True),
        sa.Column("end_at", sa.BigInteger(), nullable=True),
        sa.Column("duration", sa.Text(), nullable=True),
        sa.Column("wait_until", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.Column("changed", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["machine"], ["machine.uuid"], name=op.f("fk_grants_machine")),
        sa.ForeignKeyConstraint(
            ["previous_state", "state"],
            ["grant_transition.from_state", "grant_transition.to_state"],
            name="fk_grants_legal_move",
        ),
        sa.ForeignKeyConstraint(["request"], ["request.uid"], name=op.f("fk_grants_request")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_grants")),
    )
    op.create_index(
        "ix_grants_changed",
        "grants",
        ["scope"],
        unique=False,
        sqlite_where=sa.text("changed"),
        postgresql_where=sa.text("changed"),
    )
    op.create_index(
        "ix_grants_closed",
        "grants",
        ["scope", "closed_at"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NOT NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_grants_due",
        "grants",
        ["scope", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_grants_live",
        "grants",
        ["scope"],
        unique=False,
        sqlite_where=sa.text("state IN ('opening', 'open')"),
        postgresql_where=sa.text("state IN ('opening', 'open')"),
    )
    op.create_index("ix_grants_machine", "grants", ["machine", "asked_at"], unique=False)
    op.create_index(
        "ix_grants_not_over",
        "grants",
        ["principal", "machine", "port"],
        unique=False,
        sqlite_where=sa.text("state NOT IN ('closing', 'closed')"),
        postgresql_where=sa.text("state NOT IN ('closing', 'closed')"),
    )
    op.create_index("ix_grants_policy", "grants", ["policy", "asked_at"], unique=False)
    op.create_index(op.f("ix_grants_request"), "grants", ["request"], unique=False)
    op.create_index(
        "ix_grants_successor",
        "grants",
        ["successor"],
        unique=False,
        sqlite_where=sa.text("successor IS NOT NULL"),
        postgresql_where=sa.text("successor IS NOT NULL"),
    )


def _create_grant_key() -> None:
    op.create_table(
        "grant_key",
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("grant", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["grant"], ["grants.uid"], name=op.f("fk_grant_key_grant")),
        sa.PrimaryKeyConstraint("machine", "port", "protocol", "prefix", "grant", name=op.f("pk_grant_key")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_grant_key_grant"), "grant_key", ["grant"], unique=False)


def _protect_activity() -> None:
    """The record is append-only: nothing but an empty sequence may be filled in.

    A migration that makes the table again in SQLite loses these triggers; the comparison at the end of the
    upgrade then fails.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REFUSAL_POSTGRESQL)
        refusal = "FOR EACH ROW {when} EXECUTE FUNCTION refuse_activity_change()"
    else:
        refusal = "FOR EACH ROW {when} BEGIN SELECT RAISE(ABORT, 'the activity is append-only'); END"
    for name, what, when in PROTECTION:
        op.execute(f"CREATE TRIGGER {name} BEFORE {what} ON activity {refusal.format(when=when)}")
