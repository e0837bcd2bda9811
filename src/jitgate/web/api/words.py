"""The native API's own words in errors.

The core names a failing field in the contract's words, because the contract was there first. A caller of
this API never wrote those, so a route says where it failed in the words of this API.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from jitgate.core.errors import Invalid, Reason, Refused
from jitgate.web.body import StrictRoute

_WORDS = {
    "virtualMachines": "machines",
    "allowedSourceAddressPrefixes": "sources",
    "allowedSourceAddressPrefix": "sources",
    "maxRequestAccessDuration": "maxDuration",
}
_CONTRACT = re.compile(r"\b(properties\.|" + "|".join(_WORDS) + r")")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class NativeRoute(StrictRoute):
    """A route that raises its errors in the words of this API."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handle_in_our_words(request: Request) -> Response:
            try:
                return await handle(request)
            except Invalid as error:
                raise _invalid(error) from error
            except Refused as error:
                raise Refused([in_our_words(reason) for reason in error.reasons]) from error

        return handle_in_our_words


def in_our_words(reason: Reason) -> Reason:
    """The same reason, with its field as a caller of this API wrote it."""
    return Reason(reason.code, our_field(reason.field), reason.message, reason.allowed)


def our_field(field: str) -> str:
    """A field's path in the words of this API."""
    return _CONTRACT.sub(lambda found: _WORDS.get(found[1], ""), field)


def _invalid(error: Invalid) -> Invalid:
    reason = error.reason
    return type(error)(our_field(reason.field), reason.message, allowed=reason.allowed, code=reason.code)
