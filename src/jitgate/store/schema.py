"""The tables.

Times are whole microseconds since 1970 in UTC (`Instant`), so that both databases compare and index them
alike. ``*_key`` columns hold ids folded to one case; the column without ``_key`` holds the text as it came.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, stored as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _where(condition: str) -> dict[str, Any]:
    """A partial index, in both dialects."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

principal = Table(
    "principal",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # jitgate.core.roles.Kind
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

credential = Table(
    "credential",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal", Text, ForeignKey("principal.uid"), index=True),  # NULL: nobody has agreed to it yet
    Column("kind", Text, nullable=False),  # jitgate.identity.kinds
    Column("label", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("used_at", Instant),  # to the minute
    Column("used_from", Text),
    Column("facts", JSON, nullable=False, server_default=text("'{}'")),  # what its kind keeps beside: limit, groups
    Index("ix_credential_expires", "expires_at", **_where("expires_at IS NOT NULL")),
)

# A group is a principal, too: it can be given roles, though it never asks for anything.
group_member = Table(
    "group_member",
    metadata,
    Column("group", Text, ForeignKey("principal.uid"), primary_key=True),
    Column("member", Text, ForeignKey("principal.uid"), primary_key=True, index=True),
    Column("since", Instant, nullable=False),
)

# Roles of this installation's own. Those that are built in are in jitgate.core.roles.
role_definition = Table(
    "role_definition",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("actions", JSON, nullable=False),
    Column("not_actions", JSON, nullable=False),
    Column("scopes", JSON, nullable=False),  # where it can be assigned, at or below
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

role_assignment = Table(
    "role_assignment",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("principal", Text, ForeignKey("principal.uid"), nullable=False),
    Column("role", Text, nullable=False, index=True),  # the id of a role, built in or not
    Column("scope", Text, nullable=False),
    Column("scope_key", Text, nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text),
    Index("uq_role_assignment_principal_role_scope", "principal", "role", "scope_key", unique=True),
)

machine = Table(
    "machine",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("id_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, index=True),
    Column("os", Text, nullable=False),
    Column("connector", Text, nullable=False, index=True),
    Column("provider", Text, nullable=False),
    Column("scope", Text, nullable=False, index=True),
    Column("location", Text, nullable=False),
    Column("addresses", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("unsupported", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("removed_at", Instant),
    # A machine made again under the same id is another row.
    Index("uq_machine_id_key_present", "id_key", unique=True, **_where("removed_at IS NULL")),
)

# A host elsewhere that has joined, waits to, or was a member. Its machine has the same UUID.
host = Table(
    "host",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("resource_group", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scope_key", Text, nullable=False),
    Column("public_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),  # waiting, joined, removed
    Column("token", Text, ForeignKey("credential.id"), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("asked_from", Text),
    Column("joined_at", Instant),
    Column("heard_at", Instant),
    Column("silent", Boolean, nullable=False),  # and that is on record
    Column("facts", JSON, nullable=False),  # what it told last
    # Of a name there is one member; others may wait.
    Index("uq_host_scope_key_joined", "scope_key", unique=True, **_where("state = 'joined'")),
    Index("ix_host_scope", "scope_key"),
    Index("ix_host_heard", "heard_at", **_where("state = 'joined' AND NOT silent")),
)

# What a credential of kind "join" allows, besides having an end.
join_token = Table(
    "join_token",
    metadata,
    Column("credential", Text, ForeignKey("credential.id"), primary_key=True),
    Column("resource_group", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
)

# The last attempt of a source at a protected port: a hint for who waits for a port that is open for another source.
attempt = Table(
    "attempt",
    metadata,
    Column("machine", Text, ForeignKey("machine.uuid"), primary_key=True),
    Column("port", Integer, primary_key=True),
    Column("protocol", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

policy = Table(
    "policy",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("subscription", Text, nullable=False),
    Column("subscription_key", Text, nullable=False, index=True),
    Column("resource_group", Text, nullable=False),
    Column("group_key", Text, nullable=False, index=True),  # scope path of the resource group
    Column("location", Text, nullable=False),  # folded: "westeurope"
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

policy_machine = Table(
    "policy_machine",
    metadata,
    Column("policy", Text, ForeignKey("policy.uid", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("machine_id", Text, nullable=False),
    Column("machine_key", Text, nullable=False, index=True),
    Column("public_ip_address", Text),
    Column("force", Boolean, nullable=False),  # protect even if that cuts somebody off
    Column("ports", JSON, nullable=False),
)

guardrail = Table(
    "guardrail",
    metadata,
    Column("name_key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", Text, ForeignKey("principal.uid"), nullable=False),
)

# A change that loosens a guardrail waits here for a second administrator.
guardrail_proposal = Table(
    "guardrail_proposal",
    metadata,
    Column("name_key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("body", JSON),  # NULL: remove it
    Column("proposed_at", Instant, nullable=False),
    Column("proposed_by", Text, ForeignKey("principal.uid"), nullable=False),
)

request = Table(
    "request",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("principal", Text, ForeignKey("principal.uid"), nullable=False),
    Column("requestor", Text, nullable=False),
    Column("justification", Text, nullable=False),
    Column("caller", Text),
    Column("credential", Text),
    Column("asked_at", Instant, nullable=False),
    Column("start_at", Instant),
    Column("approvals", Integer, nullable=False),  # how many are needed
    Index("ix_request_principal_asked", "principal", "asked_at"),
    Index("ix_request_asked", "asked_at"),
)

# The legal moves of a grant (jitgate.core.access.TRANSITIONS). Rows, not a trigger: triggers are lost
# when a migration rebuilds a table in SQLite.
grant_transition = Table(
    "grant_transition",
    metadata,
    Column("from_state", Text, primary_key=True),
    Column("to_state", Text, primary_key=True),
)

grants = Table(
    "grants",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("request", Text, ForeignKey("request.uid"), nullable=False, index=True),
    Column("position", Integer, nullable=False),  # order within the request
    Column("policy", Text, nullable=False),  # uid; the policy may be gone
    Column("principal", Text, nullable=False),
    Column("machine", Text, ForeignKey("machine.uuid"), nullable=False),
    Column("machine_id", Text, nullable=False),  # as it was asked for
    Column("scope", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("sources", JSON, nullable=False),  # canonical
    Column("source_texts", JSON),  # as they were asked for: text, list, or null
    Column("session", Text, nullable=False),
    Column("previous_state", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("detail", Text, nullable=False, server_default=""),
    Column("asked_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),  # when it came into its state
    Column("start_at", Instant),
    Column("end_at", Instant),
    Column("duration", Text),
    Column("wait_until", Instant),
    Column("due_at", Instant),  # when time alone moves it next (jitgate.core.progress.due_at)
    Column("opened_at", Instant),
    Column("closed_at", Instant),
    Column("successor", Text),  # the newer grant that takes its place once that is open
    Column("changed", Boolean, nullable=False),  # not yet known to stand as asked
    Column("revision", Integer, nullable=False),
    ForeignKeyConstraint(
        ["previous_state", "state"],
        ["grant_transition.from_state", "grant_transition.to_state"],
        name="fk_grants_legal_move",
    ),
    Index("ix_grants_changed", "scope", **_where("changed")),
    Index("ix_grants_live", "scope", **_where("state IN ('opening', 'open')")),
    Index("ix_grants_due", "scope", "due_at", **_where("due_at IS NOT NULL")),
    Index("ix_grants_not_over", "principal", "machine", "port", **_where("state NOT IN ('closing', 'closed')")),
    Index("ix_grants_machine", "machine", "asked_at"),
    Index("ix_grants_policy", "policy", "asked_at"),
    Index("ix_grants_successor", "successor", **_where("successor IS NOT NULL")),
    Index("ix_grants_closed", "scope", "closed_at", **_where("closed_at IS NOT NULL")),
    Index("ix_grants_pending", "asked_at", **_where("state = 'pending'")),
)

# Each key of each grant that is not closed: how the truth of a key is worked out from all its grants.
grant_key = Table(
    "grant_key",
    metadata,
    Column("machine", Text, primary_key=True),
    Column("port", Integer, primary_key=True),
    Column("protocol", Text, primary_key=True),  # TCP or UDP
    Column("prefix", Text, primary_key=True),
    Column("grant", Text, ForeignKey("grants.uid"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# What others said to a request.
approval = Table(
    "approval",
    metadata,
    Column("request", Text, ForeignKey("request.uid"), primary_key=True),
    Column("principal", Text, ForeignKey("principal.uid"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("verdict", Text, nullable=False),  # approved, denied
    Column("at", Instant, nullable=False),
    Column("note", Text, nullable=False),
)

# Requests that broke the glass, to be looked at afterwards by somebody else.
review = Table(
    "review",
    metadata,
    Column("request", Text, ForeignKey("request.uid"), primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("reviewed_at", Instant),
    Column("reviewed_by", Text, ForeignKey("principal.uid")),
    Column("note", Text),
    Index("ix_review_open", "opened_at", **_where("reviewed_at IS NULL")),
)

freeze = Table(
    "freeze",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("key", Text, nullable=False),  # jitgate.core.freeze.Freeze.key
    Column("person", Text, ForeignKey("principal.uid")),
    Column("scope", Text),
    Column("why", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, ForeignKey("principal.uid"), nullable=False),
    Column("thawed_at", Instant),
    Column("thawed_by", Text, ForeignKey("principal.uid")),
    Column("thaw_why", Text),
    Index("ix_freeze_in_force", "key", **_where("thawed_at IS NULL")),
)

# How far each receiver of notifications has read the record.
notify_cursor = Table(
    "notify_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),  # delivered up to here
    Column("attempts", Integer, nullable=False),  # failures in a row
    Column("due_at", Instant, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
    Column("error", Text, nullable=False),
)

scope_state = Table(
    "scope_state",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Instant),  # by the database's clock
    Column("due_at", Instant),  # when to look next, besides wakes
    Column("sweep_at", Instant),  # when the next full sweep is due
    Column("attempts", Integer, nullable=False),  # failures in a row
    Column("error", Text, nullable=False),
    Column("memory", JSON, nullable=False),
    Column("report", JSON, nullable=False),  # the last one, without its keys
    Column("reported_at", Instant),
    Index("ix_scope_state_due", "due_at"),
)

activity = Table(
    "activity",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("sequence", BigInteger, unique=True),  # given by the sealer
    Column("at", Instant, nullable=False),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("principal", Text),  # uid; NULL: jitgate itself
    Column("caller", Text, nullable=False),  # name for people
    Column("credential", Text),
    Column("address", Text),
    Column("resource", Text, nullable=False),
    Column("resource_key", Text, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("properties", JSON, nullable=False),
    Index("ix_activity_at", "at"),
    Index("ix_activity_resource", "resource_key", "at"),
    Index("ix_activity_correlation", "correlation"),
    Index("ix_activity_principal", "principal", "operation", "at"),
    sqlite_autoincrement=True,
)

# A signed head over each sealed batch of the activity (jitgate.core.record). Kept for ever.
activity_head = Table(
    "activity_head",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False, unique=True),  # sequence of the batch's first event
    Column("count", Integer, nullable=False),
    Column("root", Text, nullable=False),
    Column("previous", Text, nullable=False),  # digest of the head before
    Column("at", Instant, nullable=False),
    Column("key", Text, nullable=False),  # public
    Column("signature", Text, nullable=False),
    Column("expired_at", Instant),  # when the batch's events went, as retention demands
    Index("ix_activity_head_kept", "number", **_where("expired_at IS NULL")),
)

# Heads that were sent off-box: the last one, by outlet.
head_delivery = Table(
    "head_delivery",
    metadata,
    Column("outlet", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# What one process at a time does for all.
duty = Table(
    "duty",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text),
    Column("until", Instant),  # by the database's clock
)

# What stood when: each state of a policy, a guardrail, a role given. The last row at a moment is what held then.
history = Table(
    "history",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("principal", Text),  # uid of who changed it; NULL: jitgate itself
    Column("caller", Text, nullable=False),
    Column("body", JSON(none_as_null=True)),  # NULL: it was removed
    Index("ix_history_key", "kind", "key", "id"),
    sqlite_autoincrement=True,
)

plan = Table(
    "plan",
    metadata,
    Column("scope_key", Text, primary_key=True),
    Column("scope", Text, nullable=False),  # a subscription, or a machine
    Column("tier", Text, nullable=False),
    Column("sub_plan", Text),
    Column("enforce", Boolean, nullable=False),
    Column("trial_ends_at", Instant),
    Column("enabled_at", Instant),
    Column("extensions", JSON, nullable=False),
)

# Where just-in-time access is switched off: a subscription or a resource group.
jit_disabled = Table(
    "jit_disabled",
    metadata,
    Column("scope_key", Text, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("disabled_at", Instant, nullable=False),
    Column("disabled_by", Text, ForeignKey("principal.uid"), nullable=False),
)
