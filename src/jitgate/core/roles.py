"""Roles: sets of action patterns, assigned to a principal at a scope path. Azure's RBAC model.

Every action that jitgate asks for stands here, with what it allows, and in docs/reference/roles.md: a new one is
a constant, and a line of `ACTIONS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from jitgate.core.patterns import any_matches
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
READ_RESOURCE_GROUP = "Microsoft.Resources/subscriptions/resourceGroups/read"
READ_PLAN = "Microsoft.Security/pricings/read"
WRITE_PLAN = "Microsoft.Security/pricings/write"
DELETE_PLAN = "Microsoft.Security/pricings/delete"
READ_SECURITY_POLICY = "Microsoft.Security/policies/read"
WRITE_SECURITY_POLICY = "Microsoft.Security/policies/write"
READ_ROLE = "Microsoft.Authorization/roleDefinitions/read"
WRITE_ROLE = "Microsoft.Authorization/roleDefinitions/write"
DELETE_ROLE = "Microsoft.Authorization/roleDefinitions/delete"
READ_ASSIGNMENT = "Microsoft.Authorization/roleAssignments/read"
WRITE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments/write"
DELETE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments/delete"

# What Azure has no name for.
REVOKE = "Jitgate.Access/requests/revoke/action"
APPROVE = "Jitgate.Access/requests/approve/action"
BREAK_GLASS = "Jitgate.Access/requests/breakGlass/action"
FREEZE = "Jitgate.Access/freezes/write"
THAW = "Jitgate.Access/freezes/delete"
READ_FREEZE = "Jitgate.Access/freezes/read"
READ_GUARDRAIL = "Jitgate.Access/guardrails/read"
WRITE_GUARDRAIL = "Jitgate.Access/guardrails/write"
READ_NETWORK = "Jitgate.Access/networks/read"
WRITE_NETWORK = "Jitgate.Access/networks/write"
READ_INSIGHT = "Jitgate.Access/insights/read"
READ_NOTIFICATION = "Jitgate.Access/notifications/read"
READ_HOST = "Jitgate.Access/hosts/read"
WRITE_HOST = "Jitgate.Access/hosts/write"
JOIN_HOST = "Jitgate.Access/hosts/join/action"
FORCE_PROTECTION = "Jitgate.Access/machines/forceProtection/action"
AGREE_TO_ALTERATION = "Jitgate.Access/alterations/agree/action"
READ_CREDENTIAL = "Jitgate.Access/credentials/read"
WRITE_CREDENTIAL = "Jitgate.Access/credentials/write"
DELETE_CREDENTIAL = "Jitgate.Access/credentials/delete"
READ_CONNECTOR = "Jitgate.Access/connectors/read"
WRITE_CONNECTOR = "Jitgate.Access/connectors/write"
EXPORT_ACTIVITY = "Jitgate.Access/activity/export/action"
READ_PRINCIPAL = "Jitgate.Access/principals/read"
WRITE_PRINCIPAL = "Jitgate.Access/principals/write"
DISABLE_PRINCIPAL = "Jitgate.Access/principals/disable/action"
READ_GROUP = "Jitgate.Access/groups/read"
WRITE_GROUP = "Jitgate.Access/groups/write"

ACTIONS: Mapping[str, str] = {
    READ_POLICY: "see policies, and the requests under them",
    WRITE_POLICY: "create and change policies; together with virtualMachines/write on their machines",
    DELETE_POLICY: "remove policies; together with virtualMachines/write on their machines",
    INITIATE: "ask for access",
    READ_MACHINE: "see machines; in Azure also needed to ask",
    WRITE_MACHINE: "change how a machine is protected",
    READ_INTERFACE: "see network interfaces; in Azure needed to ask",
    READ_PUBLIC_ADDRESS: "see public addresses; in Azure needed to ask",
    READ_ACTIVITY: "read the record",
    READ_RESOURCE_GROUP: "see resource groups",
    READ_PLAN: "see the plan of a subscription or machine",
    WRITE_PLAN: "set the plan of a subscription or machine",
    DELETE_PLAN: "take away a machine's own plan",
    READ_SECURITY_POLICY: "see where just-in-time access is switched off",
    WRITE_SECURITY_POLICY: "switch just-in-time access off and on, for a subscription or resource group",
    READ_ROLE: "see roles",
    WRITE_ROLE: "make and change custom roles that give no more than one holds",
    DELETE_ROLE: "remove custom roles",
    READ_ASSIGNMENT: "see who holds which role",
    WRITE_ASSIGNMENT: "give roles that give no more than one holds",
    DELETE_ASSIGNMENT: "take roles away",
    REVOKE: "close, shorten and extend what others asked for",
    APPROVE: "agree to, or deny, what others asked for",
    BREAK_GLASS: "open at once, without the approval that would be needed; reviewed afterwards",
    FREEZE: "freeze a person, a machine, a scope or everything: closes and refuses at once",
    THAW: "take a freeze back",
    READ_FREEZE: "see what is frozen",
    READ_GUARDRAIL: "see guardrails",
    WRITE_GUARDRAIL: "set guardrails; loosening one takes a second administrator",
    READ_NETWORK: "see which networks have names, and what lies in them",
    WRITE_NETWORK: "give networks names, and take these away",
    READ_NOTIFICATION: "see who is notified, and how far each has got",
    READ_INSIGHT: "see figures of all machines: what is open, asked for, and not needed",
    FORCE_PROTECTION: "protect a port although that cuts off somebody who is connected",
    AGREE_TO_ALTERATION: "agree that rules which others made are altered, so that a port is really shut",
    JOIN_HOST: "make tokens by which hosts elsewhere join",
    READ_HOST: "see hosts elsewhere, and those that wait to join",
    WRITE_HOST: "let waiting hosts in, confirm their addresses, remove them",
    READ_CONNECTOR: "see connectors",
    WRITE_CONNECTOR: "test and remove connectors; add and change them, where it is held at `/`",
    EXPORT_ACTIVITY: "export the record",
    READ_PRINCIPAL: "see people and programs",
    WRITE_PRINCIPAL: "add people and programs, and enable them again",
    DISABLE_PRINCIPAL: "disable people and programs",
    READ_CREDENTIAL: "see which tokens and secrets others have",
    WRITE_CREDENTIAL: "make client secrets for programs and sign-in links for people that hold no more than one holds",
    DELETE_CREDENTIAL: "revoke others' tokens, secrets and sign-in links",
    READ_GROUP: "see groups and who is in them",
    WRITE_GROUP: "make and remove groups, and change who is in them",
}
"""What may be allowed: each action with what it lets one do."""

AZURE_READS = (READ_MACHINE, READ_INTERFACE, READ_PUBLIC_ADDRESS)
"""What Azure demands of who asks, beside the right to ask. Elsewhere only Microsoft.Security counts (J7)."""


class Kind(StrEnum):
    """What a principal is. Who is in a claimed group, the identity provider says at each sign-in."""

    USER = "user"
    SERVICE = "service"
    GROUP = "group"
    CLAIMED_GROUP = "claimedGroup"

    @property
    def is_group(self) -> bool:
        return self in (Kind.GROUP, Kind.CLAIMED_GROUP)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of actions. `not_actions` are taken away from `actions`, not denied elsewhere.

    `id`      a GUID; "" for one that is not kept
    `scopes`  where it can be assigned, at or below
    """

    name: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()
    description: str = ""
    id: str = ""
    scopes: tuple[str, ...] = ("/",)
    is_custom: bool = False

    def allows(self, action: str) -> bool:
        return any_matches(self.actions, action) and not any_matches(self.not_actions, action)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role given at a scope path; it holds for everything below. `via`: the group that it was given to."""

    role: Role
    scope: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a credential is good for at most: some actions, at or below a scope path. It gives no right by itself."""

    actions: tuple[str, ...] = ("*",)
    scope: str = "/"

    def allows(self, action: str, resource: str) -> bool:
        return covers(self.scope, resource) and any_matches(self.actions, action)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or some program, that asks.

    `limit`   that of the credential they ask with; None: it has none
    `groups`  the keys (`core.resource_id.key`) of the names of their groups
    """

    uid: str
    name: str
    assignments: tuple[Assignment, ...] = ()
    limit: Limit | None = None
    groups: frozenset[str] = frozenset()

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
        if not any_matches(self.limit.actions, action):
            return ()
        within = self.limit.scope
        return tuple(scope if covers(within, scope) else within for scope in given if _meet(within, scope))


OWNER = Role("Owner", ("*",), description="Everything.", id="8e3af657-a8ff-443c-a75c-2fe8c4bcb635")
CONTRIBUTOR = Role(
    "Contributor",
    ("*",),
    ("Microsoft.Authorization/*/write", "Microsoft.Authorization/*/delete", "Jitgate.Access/*"),
    "Manages machines and policies, and asks for access. Gives no rights, and holds none of jitgate's own actions.",
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
)
READER = Role("Reader", ("*/read",), (), "Reads everything.", "acdd72a7-3385-48ef-bd42-f606fba81ae7")
SECURITY_READER = Role(
    "Security Reader",
    ("Microsoft.Security/*/read", "Microsoft.Insights/eventtypes/*/read", "Microsoft.Authorization/*/read"),
    (),
    "Reads policies, requests, activity and who holds which role. Sees no machines: add Reader for that.",
    "39bc4728-0917-49c7-9d2c-d95423bc2eb4",
)
SECURITY_ADMIN = Role(
    "Security Admin",
    (
        "Microsoft.Security/*",
        "Microsoft.Insights/eventtypes/*/read",
        "Microsoft.Authorization/*/read",
        "Jitgate.Access/guardrails/*",
    ),
    (),
    "Manages guardrails, and policies on machines that another role lets it write: by itself it holds no"
    " Microsoft.Compute/virtualMachines/write, which changing a policy takes (but on AWS).",
    "fb1c8493-542b-48eb-b624-b4c8fea62acd",
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
    (),
    "Asks for access: exactly the actions that Microsoft documents for it.",
    "4f1f6a3e-0a5c-4f0b-9f0e-5b8f2c6d7a11",
)
JIT_APPROVER = Role(
    "JIT Approver",
    (APPROVE, "Microsoft.Security/locations/jitNetworkAccessPolicies/*/read", READ_MACHINE),
    (),
    "Decides requests that wait for approval. Cannot ask.",
    "7c2b9d54-31e8-4c0d-8a6f-e94d1b0f3c22",
)
AUDITOR = Role(
    "Auditor",
    (
        "Microsoft.Insights/eventtypes/*/read",
        "Microsoft.Security/*/read",
        "Microsoft.Authorization/*/read",
        READ_MACHINE,
        "Jitgate.Access/*/read",
        EXPORT_ACTIVITY,
    ),
    (),
    "Reads and exports the record, and sees who may do what. Changes nothing.",
    "a3d85e70-6b42-4e19-b5c7-2f90c8e1d633",
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
BUILT_IN_BY_ID = {role.id: role for role in BUILT_IN.values()}


def _meet(one: str, other: str) -> bool:
    return covers(one, other) or covers(other, one)
