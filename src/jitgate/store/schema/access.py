"""What was asked for and what became of it: requests, grants, approvals, reviews, freezes."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, Table, Text

from jitgate.store.schema.columns import Instant, metadata, where

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
    Column("moved_from", Text),  # the grant that it moves to another source
    Column("changed", Boolean, nullable=False),  # not yet known to stand as asked
    Column("revision", Integer, nullable=False),
    ForeignKeyConstraint(
        ["previous_state", "state"],
        ["grant_transition.from_state", "grant_transition.to_state"],
        name="fk_grants_legal_move",
    ),
    Index("ix_grants_changed", "scope", **where("changed")),
    Index("ix_grants_live", "scope", **where("state IN ('opening', 'open')")),
    Index("ix_grants_due", "scope", "due_at", **where("due_at IS NOT NULL")),
    Index("ix_grants_not_over", "principal", "machine", "port", **where("state NOT IN ('closing', 'closed')")),
    Index("ix_grants_machine", "machine", "asked_at"),
    Index("ix_grants_policy", "policy", "asked_at"),
    Index("ix_grants_successor", "successor", **where("successor IS NOT NULL")),
    Index("ix_grants_closed", "scope", "closed_at", **where("closed_at IS NOT NULL")),
    Index("ix_grants_pending", "asked_at", **where("state = 'pending'")),
    # Lists, the newest first: a person's, and everybody's.
    Index("ix_grants_of_not_closed", "principal", "asked_at", "uid", **where("state != 'closed'")),
    Index("ix_grants_of_closed", "principal", "asked_at", "uid", **where("state = 'closed'")),
    Index("ix_grants_all_not_closed", "asked_at", "uid", **where("state != 'closed'")),
    Index("ix_grants_all_closed", "asked_at", "uid", **where("state = 'closed'")),
    # How many there are in each state, and since when the oldest is: without reading a grant.
    Index("ix_grants_state", "state", "since", **where("state != 'closed'")),
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
    Index("ix_review_open", "opened_at", **where("reviewed_at IS NULL")),
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
    Index("ix_freeze_in_force", "key", **where("thawed_at IS NULL")),
)
