"""Machines, hosts elsewhere, the connectors that find them, and the firewalls in front of them."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from jitgate.store.schema.columns import Instant, metadata, where

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
    Column("exposure", JSON, nullable=False, server_default=text("'[]'")),
    Column("exposed", Integer, nullable=False, server_default=text("0")),  # how badly: core.exposure
    Column("standing", Text, nullable=False, server_default=text("'notConfigured'")),  # core.catalogue.Standing
    Column("words", Text, nullable=False, server_default=text("''")),  # what it is found by: core.catalogue.words
    Column("accessed_at", Instant, nullable=False, server_default=text("0")),  # 0: no port of it has opened yet
    Column("accessed_by", Text),  # uid of the principal
    # A machine made again under the same id is another row.
    Index("uq_machine_id_key_present", "id_key", unique=True, **where("removed_at IS NULL")),
    # The tabs of the catalogue, in their orders.
    Index("ix_machine_by_name", "standing", "name_key", "uuid", **where("removed_at IS NULL")),
    Index("ix_machine_by_exposure", "standing", "exposed", "name_key", "uuid", **where("removed_at IS NULL")),
    Index("ix_machine_by_access", "standing", "accessed_at", "uuid", **where("removed_at IS NULL")),
)

# A host elsewhere that has joined, waits to, or was a member. Its machine has the same UUID.
host = Table(
    "host",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("resource_group", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default=text("'host'")),  # host, gateway
    Column("address", Text, nullable=False, server_default=text("''")),  # of a gateway: where people connect to
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
    Index("uq_host_scope_key_joined", "scope_key", unique=True, **where("state = 'joined'")),
    Index("ix_host_scope", "scope_key"),
    Index("ix_host_heard", "heard_at", **where("state = 'joined' AND NOT silent")),
    Index("ix_host_state", "kind", "state", "silent", **where("state != 'removed'")),
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

scope_state = Table(
    "scope_state",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("home", Text),  # the replica that its agent talks to; NULL: any replica reaches it
    Column("silent_since", Instant),  # since then nothing is heard of the process that holds it, beside a replica
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
    Index("ix_scope_state_error", "connector", **where("error != ''")),
    Index("ix_scope_state_silent", "silent_since", **where("silent_since IS NOT NULL")),
)

# Cloud accounts that administrators have added.
connector = Table(
    "connector",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),  # azure, aws
    Column("subscription", Text, nullable=False),  # where its machines are filed
    Column("resource_group", Text, nullable=False),
    Column("settings", JSON, nullable=False),  # without secrets: those are in files, or in the environment
    Column("revision", Integer, nullable=False),  # of what an administrator wrote
    Column("created_at", Instant, nullable=False),
    Column("removed_at", Instant),  # it is let go of once its firewalls are
    Column("discovered_at", Instant),  # when its machines were last listed
    Column("failed_at", Instant),  # NULL: the last listing succeeded
    Column("error", Text, nullable=False),
    Column("test_asked_at", Instant),
    Column("tested_at", Instant),
    Column("missing", JSON, nullable=False),  # permissions, by the last test
    Column("test_error", Text, nullable=False),
)
