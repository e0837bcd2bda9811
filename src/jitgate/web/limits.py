"""How large a body may be: known before it is held in memory, also where its length was not announced."""

from collections.abc import Collection

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jitgate.core.errors import TooLarge
from jitgate.web.errors import error_response

MOST_BODY = 512 * 1024


class BodyLimit:
    """Stops a body beyond so many bytes with 413. `besides`: paths that set a limit of their own."""

    def __init__(self, app: ASGIApp, most: int, besides: Collection[str] = ()) -> None:
        self._app = app
        self._most = most
        self._besides = frozenset(besides)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") in self._besides:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http" and _announced(scope) > self._most:
            await error_response(self._too_large())(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), send)

    def _counting(self, receive: Receive) -> Receive:
        left = self._most

        async def receive_counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                # The framework lets its own exceptions through while it reads a body, and hides all others.
                raise HTTPException(413) from self._too_large()
            return message

        return receive_counted

    def _too_large(self) -> TooLarge:
        return TooLarge("body", "the body is too large", allowed=f"at most {self._most} bytes")


def _announced(scope: Scope) -> int:
    """The length that the client announced; 0 if it did not, or not in digits."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length" and value.isdigit()]
    return max((int(length) for length in lengths), default=0)
