"""A custom role as its form says it: what is known by name is ticked, everything else is a pattern on a line."""

from collections.abc import Mapping, Sequence

from jitgate.core import roles
from jitgate.core.resource_id import key
from jitgate.core.roles import ACTIONS, Role

GROUPS: Mapping[str, Sequence[str]] = {
    "Asking and approving": (
        *(roles.INITIATE, roles.READ_POLICY, roles.READ_MACHINE, roles.READ_INTERFACE, roles.READ_PUBLIC_ADDRESS),
        *(roles.APPROVE, roles.REVOKE, roles.BREAK_GLASS),
    ),
    "Machines and policies": (
        *(roles.WRITE_POLICY, roles.DELETE_POLICY, roles.WRITE_MACHINE, roles.READ_RESOURCE_GROUP),
        *(roles.FORCE_PROTECTION, roles.AGREE_TO_ALTERATION, roles.READ_SECURITY_POLICY, roles.WRITE_SECURITY_POLICY),
        *(roles.READ_PLAN, roles.WRITE_PLAN, roles.DELETE_PLAN),
    ),
    "Guardrails, freezes, networks": (
        *(roles.READ_GUARDRAIL, roles.WRITE_GUARDRAIL, roles.READ_FREEZE, roles.FREEZE, roles.THAW),
        *(roles.READ_NETWORK, roles.WRITE_NETWORK),
    ),
    "The record": (roles.READ_ACTIVITY, roles.EXPORT_ACTIVITY, roles.READ_INSIGHT, roles.READ_NOTIFICATION),
    "People and their roles": (
        *(roles.READ_ROLE, roles.WRITE_ROLE, roles.DELETE_ROLE),
        *(roles.READ_ASSIGNMENT, roles.WRITE_ASSIGNMENT, roles.DELETE_ASSIGNMENT),
        *(roles.READ_PRINCIPAL, roles.WRITE_PRINCIPAL, roles.DISABLE_PRINCIPAL, roles.READ_GROUP, roles.WRITE_GROUP),
        *(roles.READ_CREDENTIAL, roles.WRITE_CREDENTIAL, roles.DELETE_CREDENTIAL),
    ),
    "Hosts and connectors": (
        *(roles.READ_HOST, roles.WRITE_HOST, roles.JOIN_HOST, roles.READ_CONNECTOR, roles.WRITE_CONNECTOR),
    ),
}
"""Every action, where people look for it."""

TEXTS = ("id", "name", "description", "others", "not_actions", "scopes")
MOST_FIELDS = len(TEXTS) + len(ACTIONS) + 10
_KNOWN = {key(action): action for action in ACTIONS}


def typed_of(role: Role) -> dict[str, str]:
    """A role as the form shows it."""
    known = {_KNOWN[key(action)] for action in role.actions if key(action) in _KNOWN}
    return {
        "id": role.id,
        "name": role.name,
        "description": role.description,
        "others": "\n".join(action for action in role.actions if key(action) not in _KNOWN),
        "not_actions": "\n".join(role.not_actions),
        "scopes": "\n".join(role.scopes),
        **{may(action): "on" for action in known},
    }


def may(action: str) -> str:
    """The name of an action's box."""
    return f"may.{action}"


def read(typed: Mapping[str, str]) -> Role:
    """The role that a form says. What is wrong with it is said where it is kept."""
    ticked = [action for action in ACTIONS if typed.get(may(action)) == "on"]
    others = [action for action in _lines(typed.get("others", "")) if action not in ticked]
    return Role(
        name=typed.get("name", "").strip(),
        actions=(*ticked, *others),
        not_actions=_lines(typed.get("not_actions", "")),
        description=typed.get("description", "").strip(),
        id=typed.get("id", ""),
        scopes=_lines(typed.get("scopes", "")),
        is_custom=True,
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
