"""What may be asked for: policies, guardrails, plans, and where just-in-time access is switched off."""

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, Table, Text, false, text

from jitgate.store.schema.columns import Instant, metadata

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
    Column("selections", JSON, nullable=False, server_default=text("'[]'")),  # jitgate.core.policy.Selection
    Column("selects", Boolean, nullable=False, server_default=false()),  # whether there are any
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
    Column("selected", Boolean, nullable=False, server_default=false()),  # taken in by a selection
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
