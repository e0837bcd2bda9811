"""Roles that an installation defines for itself, and what they may hold."""

from jitgate.core.errors import Invalid, TooLarge
from jitgate.core.patterns import check_patterns
from jitgate.core.resource_id import check_label, check_scope, is_guid, key
from jitgate.core.roles import BUILT_IN, BUILT_IN_BY_ID, INITIATE, READ_MACHINE, READ_POLICY, READ_PUBLIC_ADDRESS, Role

LONGEST_NAME = 128
LONGEST_DESCRIPTION = 1024
MOST_SCOPES = 100
LEAST_PRIVILEGED = "JIT Access Role"

_BUILT_IN_KEYS = frozenset(key(name) for name in BUILT_IN)


def check_role(role: Role) -> Role:
    """A custom role that may be kept. Raises Invalid, naming the field, and TooLarge."""
    check_label(role.name, "name", LONGEST_NAME)
    if is_guid(role.name):
        raise Invalid("name", "a GUID is the id of a role", allowed="a name that is none")
    if key(role.name) in _BUILT_IN_KEYS or role.id in BUILT_IN_BY_ID:
        raise Invalid("name", f"{role.name} is built in, and stays as it is", allowed="a name of your own")
    if len(role.description) > LONGEST_DESCRIPTION:
        raise TooLarge(
            "description", f"it has {len(role.description)} characters", allowed=f"at most {LONGEST_DESCRIPTION}"
        )
    if not role.actions:
        raise Invalid("actions", "the role allows nothing", allowed="at least one pattern of actions")
    check_patterns(role.actions, "actions")
    check_patterns(role.not_actions, "notActions")
    if not 0 < len(role.scopes) <= MOST_SCOPES:
        raise Invalid(
            "assignableScopes", f"there are {len(role.scopes)} scopes", allowed=f"1 to {MOST_SCOPES} scope paths"
        )
    for index, scope in enumerate(role.scopes):
        check_scope(scope, f"assignableScopes[{index}]")
    return role


def least_privileged(subscription: str, name: str = LEAST_PRIVILEGED, *, for_api_only: bool = False) -> Role:
    """The role that Microsoft's script Set-JitLeastPrivilegedRole makes, for people who only ask.

    Its list is the script's, not that of the documentation. With `for_api_only` it sees neither machines nor
    networks, and so is enough outside Azure only.
    """
    actions = (READ_POLICY, INITIATE, "Microsoft.Security/policies/read", READ_PUBLIC_ADDRESS)
    more = () if for_api_only else (READ_MACHINE, "Microsoft.Network/*/read")
    return Role(
        name,
        actions + more,
        description="Users that can enable access to Virtual Machines.",
        scopes=(f"/subscriptions/{subscription}",),
        is_custom=True,
    )
