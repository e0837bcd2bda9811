"""What holds for every exchange: ids that tie it to the record, headers that keep browsers careful, one line in
the log, and an answer even where the code has failed."""

import random
import time
from http import HTTPStatus
from uuid import UUID

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jitgate.trust.tokens import masked
from jitgate.web.errors import internal_error

log = structlog.get_logger("jitgate.web")

CORRELATION = b"x-ms-correlation-request-id"
_GUID_LENGTH = 36
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""For every answer that does not bring its own."""


class Exchange:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        one = _One(scope, send)
        try:
            await self._app(scope, receive, one.send)
        except ClientDisconnect:
            log.info("the client went away", correlation=one.correlation, path=one.path)
        except Exception as error:
            log.exception("failed", correlation=one.correlation, path=one.path)
            if one.status:
                raise
            await internal_error(one.correlation)(scope, receive, one.send)
            error.__traceback__ = None
        finally:
            one.log()


class _One:
    """One exchange under way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._id = _new_id()
        self.correlation = _chosen_correlation(scope) or self._id
        self.status = 0
        self._state = scope.setdefault("state", {})
        self._state["correlation"] = self.correlation
        self._method = scope["method"]
        # As it was sent, still quoted: nothing in it can break a line of the log. Without the query, which may
        # hold what nobody should read; and a token in the path, where it does not belong, is no more to be read.
        self.path = masked(scope.get("raw_path", b"").decode("latin-1"))
        self._send = send
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._with_headers(list(message.get("headers", ())))
        await self._send(message)

    def log(self) -> None:
        if self._state.get("is_routine") and self.status == HTTPStatus.OK:
            return
        asker = self._state.get("asker")
        log.info(
            "request",
            method=self._method,
            path=self.path,
            status=self.status,
            ms=round((time.perf_counter() - self._began) * 1000, 1),
            principal=asker.principal.uid if asker else "",
            correlation=self.correlation,
        )

    def _with_headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        brought = {name for name, _ in headers}
        headers += [header for header in _HEADERS if header[0] not in brought]
        headers += [(CORRELATION, self.correlation.encode()), (b"x-ms-request-id", self._id.encode())]
        return headers


def _chosen_correlation(scope: Scope) -> str:
    """The id that the client chose to tie its calls together, if it is a GUID; else ""."""
    for name, value in scope["headers"]:
        if name == CORRELATION and len(value) == _GUID_LENGTH:
            try:
                return str(UUID(value.decode("latin-1")))
            except ValueError:
                break
    return ""


def _new_id() -> str:
    """A GUID that nobody has to guess: not from the system's source of chance, which hands the interpreter to another
    thread on each call and waits to get it back."""
    return str(UUID(int=random.getrandbits(128), version=4))
