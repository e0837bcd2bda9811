"""The record, what stood when, and who has been told."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, Table, Text

from jitgate.store.schema.columns import Instant, metadata, where

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
    Index("ix_activity_head_key", "key"),
    Index("ix_activity_head_kept", "number", **where("expired_at IS NULL")),
)

# Heads that were sent off-box: the last one, by outlet.
head_delivery = Table(
    "head_delivery",
    metadata,
    Column("outlet", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
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
