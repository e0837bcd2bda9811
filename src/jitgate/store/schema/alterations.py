"""What is altered of others' rules, and what somebody wants to know before it is."""

from sqlalchemy import JSON, Column, ForeignKey, ForeignKeyConstraint, Index, Table, Text

from jitgate.store.schema.columns import Instant, metadata, where

# A rule that others made and that a protected port cannot stand beside, with its original (jitgate.core.alteration).
alteration = Table(
    "alteration",
    metadata,
    Column("connector", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("scope", Text, nullable=False),  # that found it, or puts its original back
    Column("what", Text, nullable=False),
    Column("original", JSON, nullable=False),
    Column("ports", JSON, nullable=False),
    Column("concerns", JSON, nullable=False),
    Column("found_at", Instant, nullable=False),
    Column("agreed_at", Instant),
    Column("agreed_by", Text),  # name for people
    Index("ix_alteration_scope", "scope"),
)

# Which scopes need an alteration. It stands until none does.
alteration_need = Table(
    "alteration_need",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("connector", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    ForeignKeyConstraint(
        ["connector", "key"],
        ["alteration.connector", "alteration.key"],
        name="fk_alteration_need_alteration",
        ondelete="CASCADE",
    ),
    Index("ix_alteration_need_key", "connector", "key"),
)

# What somebody wants to know before protecting ports: the reconciler plans it, changes nothing, and answers here.
preview = Table(
    "preview",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("scope", Text, nullable=False),
    Column("machine", Text, ForeignKey("machine.uuid"), nullable=False),
    Column("asked_by", Text, ForeignKey("principal.uid"), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("ports", JSON, nullable=False),
    Column("answered_at", Instant),
    Column("steps", JSON),
    Column("alterations", JSON),
    Column("error", Text, nullable=False, server_default=""),
    Index("ix_preview_open", "scope", **where("answered_at IS NULL")),
)
