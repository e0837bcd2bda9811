"""The web server's process of ending: first it is told, then it is done, and nobody is cut off in between."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn

from jitgate.web.readiness import Readiness

FINISHING_SECONDS = 15
"""How long requests that are under way may take when the server ends."""

_FAREWELL_SECONDS = 0.2
_TICK_SECONDS = 0.1


class WebServer(uvicorn.Server):
    """Says when it accepts connections, and ends in steps.

    `notice`   seconds for which it goes on, not ready any more, when it is told to end; a second signal cuts them short
    `let_go`   has those end that would stay for ever
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], object],
        readiness: Readiness,
        notice: float,
        let_go: Callable[[], Awaitable[object]],
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._readiness = readiness
        self._notice = notice
        self._let_go = let_go

    def end_now(self) -> None:
        """End without notice: nobody could be sent elsewhere, or there is a reason to hurry."""
        self._notice = 0.0
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the server, and nothing else: uvicorn would raise them again, and what is to be done after it has
        ended would not be."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        """A signal: end; a second one: at once."""
        if self.should_exit:
            self._notice = 0.0
            self.force_exit = True
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have clients go elsewhere, let requests end, and hang up on everybody else."""
        self._readiness.is_leaving = True
        await self._give_notice()
        self._readiness.has_left = True
        await self._let_go()
        hanging_up = asyncio.create_task(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _give_notice(self) -> None:
        began = asyncio.get_running_loop().time()
        # Not an event: what cuts it short is the handler of a signal.
        while asyncio.get_running_loop().time() - began < self._notice:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)

    async def _hang_up(self) -> None:
        """A client that keeps its connection never answers the farewell of TLS, and would be waited for in vain."""
        while True:
            await asyncio.sleep(_FAREWELL_SECONDS)
            for connection in list(self.server_state.connections):
                if _is_idle(connection):
                    connection.transport.abort()


def _is_idle(connection: Any) -> bool:
    """Whether uvicorn has nothing under way on a connection, and nothing left to send."""
    cycle, transport = connection.cycle, connection.transport
    return (cycle is None or cycle.response_complete) and not transport.get_write_buffer_size()
