"""Roles: sets of action patterns, assigned to a principal at a scope path. Azure's RBAC model.

``*`` in a pattern stands for any text, slashes included. A pattern ``a/*/read`` also matches ``a/read``:
Microsoft documents ``jitNetworkAccessPolicies/*/read`` as enough to read policies, so the wildcard
segment may be empty.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from jitgate.core.resource_id import covers

READ_POLICY = "Microsoft.Security/locations/jitNetworkAccessPolicies/read"
WRITE_POLICY = "Microsoft.Security/locations/jitNetworkAccessPolicies/write"
DELETE_POLICY = "Microsoft.Security/locations/jitNetworkAccessPolicies/delete"
INITIATE = "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"
READ_MACHINE = "Microsoft.Compute/virtualMachines/read"
WRITE_MACHINE = "Microsoft.Compute/virtualMachines/write"
READ_INTERFACE = "Microsoft.Network/networkInterfaces/read"
READ_PUBLIC_ADDRESS = "Microsoft.Network/publicIPAddresses/read"
READ_ACTIVITY = "Microsoft.Insights/eventtypes/values/read"

# What Azure has no name for.
REVOKE = "Jitgate.Access/requests/revoke/action"
APPROVE = "Jitgate.Access/requests/approve/action"
READ_GUARDRAIL = "Jitgate.Access/guardrails/read"
WRITE_GUARDRAIL = "Jitgate.Access/guardrails/write"
FORCE_PROTECTION = "Jitgate.Access/machines/forceProtection/action"
READ_CREDENTIAL = "Jitgate.Access/credentials/read"
WRITE_CREDENTIAL = "Jitgate.Access/credentials/write"
DELETE_CREDENTIAL = "Jitgate.Access/credentials/delete"


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of actions. `not_actions` are taken away from `actions`, not denied elsewhere."""

    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    description: str = ""

    def allows(self, action: str) -> bool:
        return _any_matches(self.actions, action) and not _any_matches(self.not_actions, action)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role given at a scope path; it holds for everything below."""

    role: Role
    scope: str


@dataclass(frozen=True, slots=True)
class Limit:
    """What a credential is good for at most: some actions, at or below a scope path. It gives no right by itself."""

    actions: tuple[str, ...] = ("*",)
    scope: str = "/"

    def allows(self, action: str, resource: str) -> bool:
        return covers(self.scope, resource) and _any_matches(self.actions, action)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or some program, that asks. `limit`: that of the credential they ask with; None: it has none."""

    uid: str
    name: str
    assignments: tuple[Assignment, ...] = ()
    limit: Limit | None = None

    def may(self, action: str, resource: str) -> bool:
        """Whether any assignment allows an action on a resource, and the credential's limit lets it through."""
        return self.can_use(action, resource) and any(
            a.role.allows(action) and covers(a.scope, resource) for a in self.assignments
        )

    def can_use(self, action: str, resource: str) -> bool:
        """Whether the limit lets an action through. For what needs no right, as ending one's own grant."""
        return self.limit is None or self.limit.allows(action, resource)

    def scopes(self, action: str) -> tuple[str, ...]:
        """The scope paths at and below which an action is allowed: what `may` says, for a query."""
        given = [a.scope for a in self.assignments if a.role.allows(action)]
        if self.limit is None:
            return tuple(given)
        if not _any_matches(self.limit.actions, action):
            return ()
        within = self.limit.scope
        return tuple(scope if covers(within, scope) else within for scope in given if _meet(within, scope))


def matches(pattern: str, action: str) -> bool:
    """Whether an action pattern covers an action, without regard to case."""
    return _compiled(pattern).fullmatch(action) is not None


OWNER = Role("Owner", ("*",), description="Everything.")
CONTRIBUTOR = Role(
    "Contributor",
    ("*",),
    ("Microsoft.Authorization/*/write", "Microsoft.Authorization/*/delete", "Jitgate.Access/*"),
    "Everything but giving rights; none of jitgate's own actions.",
)
READER = Role("Reader", ("*/read",), description="Reads everything.")
SECURITY_READER = Role(
    "Security Reader",
    ("Microsoft.Security/*/read", "Microsoft.Insights/eventtypes/*/read"),
    description="Reads policies, requests and activity.",
)
SECURITY_ADMIN = Role(
    "Security Admin",
    ("Microsoft.Security/*", "Microsoft.Insights/eventtypes/*/read", "Jitgate.Access/guardrails/*"),
    description="Manages policies and guardrails.",
)
JIT_REQUESTER = Role(
    "JIT Requester",
    (
        INITIATE,
        "Microsoft.Security/locations/jitNetworkAccessPolicies/*/read",
        READ_MACHINE,
        "Microsoft.Network/networkInterfaces/*/read",
        READ_PUBLIC_ADDRESS,
    ),
    description="Asks for access.",
)
JIT_APPROVER = Role(
    "JIT Approver",
    (APPROVE, "Microsoft.Security/locations/jitNetworkAccessPolicies/*/read", READ_MACHINE),
    description="Decides requests that wait for approval.",
)
AUDITOR = Role(
    "Auditor",
    ("Microsoft.Insights/eventtypes/*/read", "Microsoft.Security/*/read", READ_MACHINE, "Jitgate.Access/*/read"),
    description="Reads and exports the record.",
)
BUILT_IN = {
    role.name: role
    for role in (
        OWNER,
        CONTRIBUTOR,
        READER,
        SECURITY_READER,
        SECURITY_ADMIN,
        JIT_REQUESTER,
        JIT_APPROVER,
        AUDITOR,
    )
}


def missing(principal: Principal, actions: Iterable[str], resource: str) -> str | None:
    """The first action that a principal lacks on a resource, or None."""
    return next((action for action in actions if not principal.may(action, resource)), None)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"/\*/", "/(?:.*/)?").replace(r"\*", ".*")
    return re.compile(text, re.IGNORECASE | re.DOTALL | re.ASCII)


def _meet(one: str, other: str) -> bool:
    return covers(one, other) or covers(other, one)


def _any_matches(patterns: Iterable[str], action: str) -> bool:
    return any(matches(pattern, action) for pattern in patterns)
