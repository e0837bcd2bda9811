"""Who there is, by what they prove it, and which rights they hold."""

from sqlalchemy import JSON, Column, ForeignKey, Index, Table, Text, text

from jitgate.store.schema.columns import Instant, metadata, where

principal = Table(
    "principal",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),  # jitgate.core.roles.Kind
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Column("issuer", Text),  # of a claimed group: by whose claims its members are told; NULL: by nobody's
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
    Index("ix_credential_expires", "expires_at", **where("expires_at IS NOT NULL")),
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

# What administrators call the places that people come from.
network = Table(
    "network",
    metadata,
    Column("name_key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("prefixes", JSON, nullable=False),  # canonical
    Column("note", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("updated_by", Text, ForeignKey("principal.uid"), nullable=False),
)
