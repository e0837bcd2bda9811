"""``$filter``, as far as clients use it: comparisons for equality and functions, joined by ``and``."""

import re
from collections.abc import Collection

from jitgate.core.errors import Invalid

_NAME = "$filter"
_LONGEST = 2000
_TEXT = r"'((?:[^']|'')*)'"
_TERM = re.compile(
    rf"\s*(?:(?P<name>\w+)\s+eq\s+{_TEXT}|(?P<function>\w+)\(\s*(?:{_TEXT})?\s*\))\s*(?P<more>\band\b|$)",
    re.IGNORECASE | re.ASCII,
)


def read(text: str, known: Collection[str]) -> dict[str, str]:
    """The terms of a filter, by their names in lower case: what a property shall be, or what a function is given.

    Raises Invalid for a term that is none of those known: a filter that were left out would show too much.
    """
    found: dict[str, str] = {}
    at = 0
    while text and len(text) <= _LONGEST:
        term = _TERM.match(text, at)
        name = ((term["name"] or term["function"]) if term else "").lower()
        if term is None or name not in {one.lower() for one in known}:
            break
        found[name] = (term[2] or term[4] or "").replace("''", "'")
        at = term.end()
        if not term["more"]:
            return found
    if text:
        raise Invalid(_NAME, f"{text[:100]!r} cannot be filtered by", allowed=f"{', '.join(known)}, joined by and")
    return found
