"""The tables.

Times are whole microseconds since 1970 in UTC (`Instant`), so that both databases compare and index them
alike. ``*_key`` columns hold ids folded to one case; the column without ``_key`` holds the text as it came.
"""

from jitgate.store.schema.access import approval, freeze, grant_key, grant_transition, grants, request, review
from jitgate.store.schema.alterations import alteration, alteration_need, preview
from jitgate.store.schema.columns import EPOCH, MICROSECOND, Instant, metadata
from jitgate.store.schema.figures import day_figures, policy_use
from jitgate.store.schema.house import duty, meta, replica
from jitgate.store.schema.machines import attempt, connector, host, join_token, machine, scope_state
from jitgate.store.schema.people import credential, group_member, network, principal, role_assignment, role_definition
from jitgate.store.schema.record import activity, activity_head, head_delivery, history, notify_cursor
from jitgate.store.schema.rules import guardrail, guardrail_proposal, jit_disabled, plan, policy, policy_machine

__all__ = [
    "EPOCH",
    "MICROSECOND",
    "Instant",
    "activity",
    "activity_head",
    "alteration",
    "alteration_need",
    "approval",
    "attempt",
    "connector",
    "credential",
    "day_figures",
    "duty",
    "freeze",
    "grant_key",
    "grant_transition",
    "grants",
    "group_member",
    "guardrail",
    "guardrail_proposal",
    "head_delivery",
    "history",
    "host",
    "jit_disabled",
    "join_token",
    "machine",
    "meta",
    "metadata",
    "network",
    "notify_cursor",
    "plan",
    "policy",
    "policy_machine",
    "policy_use",
    "preview",
    "principal",
    "replica",
    "request",
    "review",
    "role_assignment",
    "role_definition",
    "scope_state",
]
