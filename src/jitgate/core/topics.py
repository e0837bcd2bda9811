"""What people want to be told of, and which lines of the record tell it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from jitgate.core import roles


class Topic(StrEnum):
    """What a notification is about: a receiver takes those that it wants."""

    APPROVAL_NEEDED = "approval.needed"
    REQUEST_DECIDED = "request.decided"
    BREAK_GLASS = "breakGlass"
    GRANT_ENDS_SOON = "grant.endsSoon"
    FREEZE = "freeze"
    GUARDRAIL = "guardrail"
    ALARM = "alarm"


# (operation, outcome) of the record, whose vocabulary is `jitgate.audit.Operation`; a test compares them.
_TOPICS: Mapping[tuple[str, str], Topic] = {
    (roles.INITIATE, "Accepted"): Topic.APPROVAL_NEEDED,
    (roles.APPROVE, "Accepted"): Topic.APPROVAL_NEEDED,
    ("Jitgate.Access/requests/escalated", "Succeeded"): Topic.APPROVAL_NEEDED,
    (roles.APPROVE, "Succeeded"): Topic.REQUEST_DECIDED,
    ("Jitgate.Access/requests/deny/action", "Succeeded"): Topic.REQUEST_DECIDED,
    ("Jitgate.Access/requests/withdraw/action", "Succeeded"): Topic.REQUEST_DECIDED,
    ("Jitgate.Access/grants/closed", "Succeeded"): Topic.REQUEST_DECIDED,
    ("Jitgate.Access/grants/closed", "Failed"): Topic.ALARM,
    (roles.BREAK_GLASS, "Accepted"): Topic.BREAK_GLASS,
    ("Jitgate.Access/requests/review/action", "Succeeded"): Topic.BREAK_GLASS,
    ("Jitgate.Access/grants/endsSoon", "Succeeded"): Topic.GRANT_ENDS_SOON,
    (roles.FREEZE, "Succeeded"): Topic.FREEZE,
    (roles.THAW, "Succeeded"): Topic.FREEZE,
    ("Jitgate.Access/guardrails/propose/action", "Accepted"): Topic.GUARDRAIL,
    (roles.WRITE_GUARDRAIL, "Succeeded"): Topic.GUARDRAIL,
    ("Jitgate.Access/guardrails/delete", "Succeeded"): Topic.GUARDRAIL,
    ("Jitgate.Firewall/scopes/closeLate", "Failed"): Topic.ALARM,
    ("Jitgate.Notify/messages/refused", "Failed"): Topic.ALARM,
}
OPERATIONS = frozenset(operation for operation, _ in _TOPICS)
NEVER_OPENED = frozenset({"approvalTimedOut"})
"""Why a grant closes that nobody is told of in another way."""


def topic(operation: str, outcome: str, properties: Mapping[str, Any]) -> Topic | None:
    """What a line of the record tells people; None: nothing that they have to hear."""
    found = _TOPICS.get((operation, outcome))
    if operation == roles.INITIATE and not properties.get("approvers"):
        return None
    if found is Topic.REQUEST_DECIDED and operation.endswith("/closed"):
        return found if properties.get("reason") in NEVER_OPENED else None
    return found
