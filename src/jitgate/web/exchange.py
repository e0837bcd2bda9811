"""What holds for every exchange: ids that tie it to the record, headers that keep browsers careful, one line in
the log, and an answer even where the code has failed."""

import random
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from uuid import UUID

import structlog
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jitgate import metrics, tracing
from jitgate.connectors.hosts.polls import POLL_PATH
from jitgate.tracing import Kind, Span
from jitgate.trust.tokens import masked
from jitgate.web.portal.failures import failed

log = structlog.get_logger("jitgate.web")

CORRELATION = b"x-ms-correlation-request-id"
_GUID_LENGTH = 36
_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", POLL_PATH})
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""For every answer that does not bring its own."""


def templates(app: FastAPI) -> Mapping[int, str]:
    """The routes of an application as templates, `/api/v1/machines/{machine}`, by the identity of what a request's
    scope names as its route: a route that was included elsewhere knows its path but in part."""
    found = iter_route_contexts(app.routes)
    return {id(each.original_route): (each.path or "").replace(":path}", "}") for each in found}


class Exchange:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        one = _One(scope, send)
        with structlog.contextvars.bound_contextvars(correlation=one.correlation), _span(scope, one) as span:
            try:
                await self._carry_out(one, scope, receive)
            finally:
                one.end(span)

    async def _carry_out(self, one: "_One", scope: Scope, receive: Receive) -> None:
        try:
            await self._app(scope, receive, one.send)
        except ClientDisconnect:
            log.info("the client went away", path=one.path)
        except Exception as error:
            log.exception("failed", path=one.path)
            if one.status:
                raise
            await failed(scope, one.correlation)(scope, receive, one.send)
            error.__traceback__ = None


class _One:
    """One exchange under way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._id = _new_id()
        self.correlation = _chosen_correlation(scope) or self._id
        self.status = 0
        self._scope = scope
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

    @property
    def route(self) -> str:
        """The template of the route that was reached; "": none was."""
        known: Mapping[int, str] = self._scope["app"].state.templates if "app" in self._scope else {}
        return known.get(id(self._scope.get("route")), "")

    def end(self, span: Span) -> None:
        """It is over: count it, and tell of it."""
        seconds = time.perf_counter() - self._began
        span.name(f"{metrics.known_method(self._method)} {self.route}".rstrip())
        span.note({"http.route": self.route, "http.response.status_code": self.status})
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(str(self.status))
        metrics.count_answer(self._method, self.route, self.status, seconds)
        self._log(seconds)

    def _log(self, seconds: float) -> None:
        if self._state.get("is_routine") and self.status == HTTPStatus.OK:
            return
        asker = self._state.get("asker")
        log.info(
            "request",
            method=self._method,
            path=self.path,
            status=self.status,
            ms=round(seconds * 1000, 1),
            principal=asker.principal.uid if asker else "",
        )

    def _with_headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        brought = {name for name, _ in headers}
        headers += [header for header in _HEADERS if header[0] not in brought]
        headers += [(CORRELATION, self.correlation.encode()), (b"x-ms-request-id", self._id.encode())]
        return headers


def _span(scope: Scope, one: _One) -> AbstractContextManager[Span]:
    """The span of an exchange; none of those that come all the time and say nothing."""
    if scope["path"] in _UNTRACED:
        return nullcontext(tracing.UNWANTED)
    sent = [value for name, value in scope["headers"] if name == b"traceparent"]
    facts = {"http.request.method": metrics.known_method(scope["method"]), "jitgate.correlation": one.correlation}
    parent = sent[0].decode("latin-1") if len(sent) == 1 else ""
    return tracing.span("HTTP", facts, Kind.SERVER, parent)


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
