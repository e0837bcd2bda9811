"""NUL, which no text holds that anybody means, at which others stop reading, and which PostgreSQL cannot keep.

It is refused in whatever was sent, before anything is done with it: here in addresses, by `jitgate.web.form` in forms,
and by `jitgate.web.body` in JSON.
"""

from starlette.types import Scope

from jitgate.core.errors import Invalid

_ALLOWED = "any other character"


def check_address(scope: Scope) -> None:
    """Refuse a path or a query with a NUL. Raises Invalid."""
    check("path", scope["path"])
    query: bytes = scope.get("query_string", b"")
    if b"\0" in query or b"%00" in query:
        raise _refusal("query")


def check(field: str, text: str) -> None:
    """Refuse a text with a NUL. Raises Invalid."""
    if "\0" in text:
        raise _refusal(field)


def _refusal(field: str) -> Invalid:
    return Invalid(field, f"the {field} holds a NUL character", allowed=_ALLOWED)
