"""Giving rights: nobody gives what they do not hold.

What a role gives is compared pattern by pattern, not action by action: a pattern also covers what the next version
of jitgate will ask for.
"""

from collections.abc import Iterable

from jitgate.core.patterns import includes, may_meet
from jitgate.core.resource_id import covers
from jitgate.core.roles import Limit, Principal, Role


def first_beyond(giver: Principal, role: Role, scope: str) -> str:
    """The first pattern of a role that its giver does not hold at a scope and everywhere below; "" for none.

    Where it cannot be told from the patterns, the answer is that they do not.
    """
    held = [a.role for a in giver.assignments if covers(a.scope, scope)]
    return next((pattern for pattern in role.actions if not _may_give(giver.limit, held, pattern, role, scope)), "")


def _may_give(limit: Limit | None, held: Iterable[Role], pattern: str, given: Role, scope: str) -> bool:
    """Whether some role that is held covers a pattern, and so does the limit of the giver's credential."""
    if limit is not None and not (covers(limit.scope, scope) and any(includes(one, pattern) for one in limit.actions)):
        return False
    return any(_holds(own, pattern, given) for own in held)


def _holds(own: Role, pattern: str, given: Role) -> bool:
    """Whether one's own role covers a pattern of another, less what that other takes away itself."""
    if not any(includes(wide, pattern) for wide in own.actions):
        return False
    return all(_is_harmless(taken, pattern, given) for taken in own.not_actions)


def _is_harmless(taken: str, pattern: str, given: Role) -> bool:
    """Whether nothing that one's own role takes away comes back with a pattern of the other."""
    return not may_meet(taken, pattern) or any(includes(wide, taken) for wide in given.not_actions)
