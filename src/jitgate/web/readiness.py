"""Whether a server takes requests, and how it says goodbye when it ends.

Once it is leaving it is not ready any more, and every answer has its client connect anew: a balancer that has seen it
sends them elsewhere. Only when it has left does it accept nobody.
"""

import asyncio
from contextvars import ContextVar

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jitgate.core.errors import JitgateError
from jitgate.service.base import Service
from jitgate.store import presence

_KEPT_SECONDS = 1.0
"""Strangers may ask, as often as they like: the database is not asked each time."""
_DATABASE_MAY_TAKE = 2.0
_CLOSE = (b"connection", b"close")

_log = structlog.get_logger(__name__)
_serving: ContextVar["Readiness | None"] = ContextVar("serving", default=None)


class Readiness:
    """Of one server. For one event loop.

    `is_leaving`  it ends soon; `has_left`: what would be waited for is not waited for any more
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._asked: asyncio.Task[bool] | None = None
        self._asked_at = 0.0
        self.is_leaving = False
        self.has_left = False

    async def is_ready(self) -> bool:
        """Whether requests should come here: the database answers, its tables fit, and the server stays."""
        now = asyncio.get_running_loop().time()
        if self._asked is None or (self._asked.done() and now - self._asked_at > _KEPT_SECONDS):
            self._asked_at = now
            self._asked = asyncio.create_task(self._look())
        # Shielded: who asked first may go away, and others wait for the same answer.
        return await asyncio.shield(self._asked) and not self.is_leaving

    async def _look(self) -> bool:
        try:
            async with asyncio.timeout(_DATABASE_MAY_TAKE):
                await self._service.store.read(presence.check)
        except TimeoutError:
            _log.error("not ready: the database does not answer in time")
        except JitgateError as error:
            _log.error("not ready", error=error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests would meet it too
            _log.error("not ready", exc_info=error)
        else:
            return True
        return False


class Farewell:
    """A layer that has clients of a server that is leaving connect anew after each answer."""

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app = app
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _serving.set(self._readiness)

        async def send_on(message: Message) -> None:
            if self._readiness.is_leaving and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await self._app(scope, receive, send_on)


def must_answer_now() -> bool:
    """Whether the server that answers this request has no time left to wait for something."""
    serving = _serving.get()
    return serving is not None and serving.has_left
