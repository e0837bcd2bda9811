"""What has happened, told to open pages as it happens: server-sent events out of the sealed record.

An event says no more than which kind of thing changed; pages then ask for their parts again, each by its own rights.
Who may not read what an event is about is not told that there was one. Its id is the sequence of the record, so a
browser whose connection broke goes on where it was; who was away for too long is told that they missed something.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from jitgate.audit import Operation, Outcome
from jitgate.core import roles
from jitgate.core.errors import Invalid, Unauthenticated, Unavailable
from jitgate.service import activity, requests, sessions
from jitgate.service.base import Asker, Service
from jitgate.store.activity import Entry
from jitgate.web.dependencies import asker_of

LOOK_EVERY = 0.25
PAUSE = 0.4
"""Seconds in which a page is told nothing more after something, so that it does not fetch its parts all the time."""

HEARTBEAT = 15.0
"""Seconds. At each, who listens is asked again whether they are still signed in."""

MOST_OF_ONE = 24
MOST = 4000
_KEPT = 2000
_AT_ONCE = 500
_LONGEST_NUMBER = 18

_ACCESS = (
    roles.INITIATE,
    "Jitgate.Access/requests/",
    "Jitgate.Access/grants/",
    "Jitgate.Access/freezes/",
)
_PEOPLE = (
    "Microsoft.Authorization/",
    "Jitgate.Access/principals/",
    "Jitgate.Access/groups/",
    "Jitgate.Access/credentials/",
    "Jitgate.Access/sign",
)
_log = structlog.get_logger(__name__)


class Live:
    """The end of the record, kept while anybody listens."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._last = 0
        self._listeners: Counter[str] = Counter()
        self._news = asyncio.Condition()
        self._beginning = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False

    async def listen(self, asker: Asker, after: int | None) -> AsyncIterator[bytes]:
        """Events for one page, as they go over the wire, until the session ends or the server does.

        `after`: the sequence that was told last; None: from now on. Raises Unavailable.
        """
        who = asker.principal.uid
        if self._listeners[who] >= MOST_OF_ONE or self._listeners.total() >= MOST:
            raise Unavailable("Too many pages are open at once. Close some of them.")
        self._listeners[who] += 1
        try:
            await self._begin()
            async for message in self._messages(asker, self._last if after is None else min(after, self._last)):
                yield message
        finally:
            self._listeners[who] -= 1
            if not self._listeners.total():
                self._end()

    async def close(self) -> None:
        """Let all listeners go: the server ends."""
        self._is_over = True
        async with self._news:
            self._news.notify_all()

    async def _messages(self, asker: Asker, position: int) -> AsyncIterator[bytes]:
        yield _message("hello", position)
        while not self._is_over:
            try:
                now = await sessions.look_again(self._service, asker)
            except Unauthenticated:
                yield _message("ended", position)
                return
            if now.principal != asker.principal:
                yield _message("people", position)
            asker = now
            if self._missed(position):
                position = self._last
                yield _message("missed", position)
            fresh = [entry for entry in self._entries if (entry.sequence or 0) > position]
            position = (fresh[-1].sequence or position) if fresh else position
            kinds = await self._topics(asker, fresh)
            for kind in kinds:
                yield _message(kind, position)
            if kinds:
                await asyncio.sleep(PAUSE)
            if not await self._is_news(position):
                yield b":\n\n"

    def _missed(self, position: int) -> bool:
        """Whether something that came after a sequence is not kept any more."""
        first = (self._entries[0].sequence or 0) if self._entries else self._last + 1
        return position + 1 < first

    async def _is_news(self, position: int) -> bool:
        """Wait for something after a sequence, or for the next heartbeat."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT), self._news:
                await self._news.wait_for(lambda: self._last > position or self._is_over)
                return True
        return False

    async def _topics(self, asker: Asker, entries: Iterable[Entry]) -> Sequence[str]:
        """What a listener is told of some entries: each kind once."""
        found: dict[str, None] = {}
        for entry in entries:
            kind = topic(entry)
            if kind is not None and kind not in found and await self._may_know(asker, entry, kind):
                found[kind] = None
            if asker.principal.may(roles.READ_ACTIVITY, entry.resource if entry.resource.startswith("/") else "/"):
                found["record"] = None
        return list(found)

    async def _may_know(self, asker: Asker, entry: Entry, kind: str) -> bool:
        principal = asker.principal
        if entry.principal == principal.uid:
            return True
        if kind == "people":
            return principal.may(roles.READ_PRINCIPAL, "/")
        right = roles.READ_POLICY if kind == "access" else roles.READ_MACHINE
        if entry.resource.startswith("/") and principal.may(right, entry.resource):
            return True
        return kind == "access" and await requests.is_about_own(self._service, asker, entry.properties)

    async def _begin(self) -> None:
        async with self._beginning:
            if self._looking is None:
                self._last = await activity.last_sealed(self._service)
                self._entries.clear()
                self._looking = asyncio.create_task(self._look_regularly())

    def _end(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._look()
            except Exception:  # noqa: BLE001 - pages would be told of nothing any more
                _log.warning("the record cannot be read for open pages; trying again", exc_info=True)

    async def _look(self) -> None:
        found = await activity.sealed_after(self._service, self._last, _AT_ONCE)
        if not found:
            return
        self._entries.extend(found)
        self._last = found[-1].sequence or self._last
        async with self._news:
            self._news.notify_all()


def topic(entry: Entry) -> str | None:
    """Which kind of thing an entry changed: access, machines or people; None: nothing that pages show."""
    if entry.outcome == Outcome.REFUSED or entry.operation == Operation.ACTIVITY_EXPORT:
        return None
    if entry.operation.startswith(_ACCESS):
        return "access"
    return "people" if entry.operation.startswith(_PEOPLE) else "machines"


def add_to(app: FastAPI) -> None:
    """Give an application its end of the record."""
    app.state.live = Live(app.state.service)


async def listen(request: Request) -> Response:
    """The events of one page. A browser that comes again says what it was told last."""
    live: Live = request.app.state.live
    events = live.listen(asker_of(request), _after(request))
    first = await anext(events)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_chain(first, events), 200, headers, "text/event-stream; charset=utf-8")


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for message in rest:
        yield message


def _after(request: Request) -> int | None:
    said = request.headers.get("last-event-id") or request.query_params.get("after")
    if not said:
        return None
    if not (said.isascii() and said.isdigit()) or len(said) > _LONGEST_NUMBER:
        raise Invalid("after", "that was never an event's id", allowed="the id of the last event")
    return int(said)


def _message(kind: str, sequence: int) -> bytes:
    return f"event: {kind}\nid: {sequence}\ndata: {sequence}\n\n".encode()
