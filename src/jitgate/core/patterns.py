"""Action patterns: ``Microsoft.Security/*/read``. Matched in linear time, whatever somebody writes into a role.

``*`` in a pattern stands for any text, slashes included. A pattern ``a/*/read`` also matches ``a/read``:
Microsoft documents ``jitNetworkAccessPolicies/*/read`` as enough to read policies, so the wildcard
segment may be empty. Stars in a row are one star: ``a/**/read`` means the same as ``a/*/read``.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from jitgate.core.errors import Invalid, TooLarge
from jitgate.core.resource_id import key

LONGEST = 256
MOST_STARS = 8
MOST_PATTERNS = 200
_PATTERN = re.compile(r"[A-Za-z0-9./*_-]+")
_STARS = re.compile(r"\*+")
_ALLOWED = f"1 to {LONGEST} letters, digits and . / - _, with at most {MOST_STARS} *"


@lru_cache(maxsize=8192)
def matches(pattern: str, action: str) -> bool:
    """Whether an action pattern covers an action, without regard to case.

    From left to right, each piece between stars is taken where it first occurs: an earlier place leaves more to
    the pieces after it, so nothing is ever tried twice.
    """
    text = key(action)
    first, *middle, last = _pieces(pattern)
    if last is None:
        return text == first
    at = len(first)
    before = first
    if not text.startswith(first):
        return False
    for piece in middle:
        found = text.find(piece, _from(before, piece, at))
        if found < 0:
            return False
        at, before = found + len(piece), piece
    return text.endswith(last) and len(text) - len(last) >= _from(before, last, at)


def any_matches(patterns: Iterable[str], action: str) -> bool:
    """Whether any of some patterns covers an action."""
    return any(matches(pattern, action) for pattern in patterns)


def includes(wide: str, narrow: str) -> bool:
    """Whether a pattern covers everything that another one does.

    A star of the narrow one is a letter like any other that only a star of the wide one can cover. Between slashes
    that star of the wide one is alone, as there are no two in a row, or it covers a slash as well; so it can be empty
    wherever that of the narrow one can. True is certain; False may be said of two that differ in writing alone.
    """
    return matches(wide, _STARS.sub("*", narrow))


def may_meet(one: str, other: str) -> bool:
    """Whether some action could be covered by both. False is certain."""
    return _agree(key(one), key(other)) and _agree(key(one)[::-1], key(other)[::-1])


def check_patterns(patterns: Iterable[str], field: str) -> tuple[str, ...]:
    """Patterns as somebody wrote them. Raises Invalid for what none can be, TooLarge for too many."""
    checked = tuple(patterns)
    if len(checked) > MOST_PATTERNS:
        raise TooLarge(field, f"there are {len(checked)} patterns", allowed=f"at most {MOST_PATTERNS}")
    for index, pattern in enumerate(checked):
        if len(pattern) > LONGEST or not _PATTERN.fullmatch(pattern) or pattern.count("*") > MOST_STARS:
            raise Invalid(f"{field}[{index}]", f"{pattern[:60]!r} is not a pattern of actions", allowed=_ALLOWED)
    return checked


@lru_cache(maxsize=8192)
def _pieces(pattern: str) -> tuple[str, ...] | tuple[str, None]:
    """The texts between the stars, of which there is at least one; else the whole pattern and None."""
    pieces = _STARS.split(key(pattern))
    return tuple(pieces) if len(pieces) > 1 else (pieces[0], None)


def _from(before: str, piece: str, at: int) -> int:
    """Where a piece may begin: after the one before it, or at the slash that ``/*/`` shares when it is empty."""
    return at - 1 if before.endswith("/") and piece.startswith("/") else at


def _agree(one: str, other: str) -> bool:
    """Whether some text could begin as both do, up to their first stars."""
    left, right = one.split("*")[0], other.split("*")[0]
    if "*" not in one and "*" not in other:
        return left == right
    if "*" not in one:
        return left.startswith(right)
    return right.startswith(left) or ("*" in other and left.startswith(right))
