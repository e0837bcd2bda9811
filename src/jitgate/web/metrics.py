"""``/metrics``: what this process has counted, and how the installation stands, for Prometheus.

Whoever reads it holds a token of its own, out of a file: it opens nothing else, and it is known while the database is
away, which is when somebody looks. Without that file nobody reads.
"""

import asyncio
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from jitgate.core.errors import Invalid, JitgateError, Unauthenticated
from jitgate.service.base import Service
from jitgate.store import measures
from jitgate.store.measures import Measures
from jitgate.trust import certificates
from jitgate.web import gauges
from jitgate.web.authentication import bearer

PATH = "/metrics"
SHORTEST_TOKEN = 32
FORMAT = "text/plain; version=0.0.4; charset=utf-8"

FRESH_SECONDS = 15.0
"""The database is measured anew when what is known is older, however many ask."""
_SHARE = 100
"""… and so many times as old as measuring took: that never takes more than a hundredth of a reader's time."""
_DATABASE_MAY_TAKE = 5.0
_KNOWN_AWAY_SECONDS = 1.0
_MOST_BYTES = 8192

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """What there is to tell of besides what is counted.

    `token_file`    the tokens of whoever may read it, one a line; None: nobody may
    `certificates`  files, by whose they are
    `backup`        the file that says when the last backup was made
    `receivers`     of notifications; `outlets`: where heads of the record are sent
    """

    token_file: Path | None = None
    certificates: Mapping[str, Path] = field(default_factory=dict)
    backup: Path | None = None
    receivers: Sequence[str] = ()
    outlets: Sequence[str] = ()


def read_tokens(path: Path) -> list[bytes]:
    """The tokens in a file. Raises Invalid, without them."""
    try:
        with path.open("rb") as file:
            found = file.read(_MOST_BYTES).split()
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    if not found or min(map(len, found)) < SHORTEST_TOKEN:
        raise _wrong(path, "has no token, or one that is too short")
    return found


def add_routes(app: FastAPI, service: Service, watched: Watched) -> None:
    """Add the route."""
    reading = Reading(service, watched)

    async def metrics(request: Request) -> Response:
        await _require_token(bearer(request.scope), watched.token_file)
        request.state.is_routine = True
        found = await reading.measures()
        return Response(await asyncio.to_thread(_text, found, watched), media_type=FORMAT)

    app.add_api_route(PATH, metrics, methods=["GET"], include_in_schema=False)


class Reading:
    """How the installation stands, measured at most so often. For one event loop."""

    def __init__(self, service: Service, watched: Watched) -> None:
        self._service = service
        self._watched = watched
        self._asked: asyncio.Task[Measures | None] | None = None
        self._good_until = 0.0

    async def measures(self) -> Measures | None:
        """As it is now, or was a little while ago. None: the database does not say."""
        now = asyncio.get_running_loop().time()
        if self._asked is None or (self._asked.done() and now > self._good_until):
            self._asked = asyncio.create_task(self._measure())
        # Shielded: who asked first may go away, and others wait for the same answer.
        return await asyncio.shield(self._asked)

    async def _measure(self) -> Measures | None:
        clock = asyncio.get_running_loop().time
        began, watched = clock(), self._watched
        try:
            async with asyncio.timeout(_DATABASE_MAY_TAKE):
                found = await self._service.store.read(lambda tx: measures.take(tx, watched.receivers, watched.outlets))
        except (TimeoutError, JitgateError) as error:
            _log.warning("the database was not measured", error=str(error) or "it does not answer in time")
            self._good_until = clock() + _KNOWN_AWAY_SECONDS
            return None
        self._good_until = clock() + max(FRESH_SECONDS, _SHARE * (clock() - began))
        return found


class _Families(Collector):
    """Families of samples, as the library takes them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _text(found: Measures | None, watched: Watched) -> bytes:
    """All of it, as it goes over the wire."""
    return generate_latest(REGISTRY) + generate_latest(_Families(_gauges(found, watched)))


def _gauges(found: Measures | None, watched: Watched) -> Iterator[Metric]:
    ends = {name: end for name, path in watched.certificates.items() if (end := _end_of(path)) is not None}
    yield from gauges.of_process(found is not None, ends, _moment(watched.backup))
    if found is not None:
        yield from gauges.of_installation(found)


async def _require_token(sent: str, path: Path | None) -> None:
    """Raises Unauthenticated."""
    known: Sequence[bytes] = ()
    try:
        known = await asyncio.to_thread(read_tokens, path) if path and sent else ()
    except Invalid as error:
        _log.error("nobody can read the metrics", error=error.message)
    if not any(hmac.compare_digest(sent.encode(), each) for each in known):
        raise Unauthenticated("The metrics are for whoever holds a token of the file that metrics.token_file names.")


def _end_of(path: Path) -> datetime | None:
    try:
        return certificates.end_of(path)
    except Invalid:
        return None


def _moment(path: Path | None) -> datetime | None:
    """The moment that stands in a file."""
    try:
        return datetime.fromisoformat(path.read_text("ascii").strip()) if path else None
    except (OSError, ValueError):
        return None


def _wrong(path: Path, why: str) -> Invalid:
    allowed = f"a file that jitgate may read, with a token of {SHORTEST_TOKEN} characters or more on each line"
    return Invalid("metrics.token_file", f"{path} {why}", allowed=allowed)
