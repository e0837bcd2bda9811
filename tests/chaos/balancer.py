"""The one address of several replicas: TCP is passed on, of each client to the replica that it began with while that
takes it, as docs/how-to/run-several-replicas.md asks for."""

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Self

from tests.netns import Namespace


class Balancer:
    """Listens on an address of a namespace, in a thread of its own, from entering until leaving."""

    def __init__(self, namespace: Namespace, address: str) -> None:
        self._namespace, self._address = namespace, address
        self._ports: list[int] = []
        self._chosen: dict[str, int] = {}
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def add(self, port: int) -> None:
        """One more replica, at this port of the same address."""
        self._ports.append(port)

    def send(self, client: str, port: int) -> None:
        """Have a client's next connections go there, as balancers do that find a replica to be ill."""
        self._chosen[client] = port

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _run(self) -> None:
        self._namespace.inside(lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._take, self._address, 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._started.set()
        await self._ended.wait()
        server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")[0]
        first = self._chosen.setdefault(client, self._ports[len(self._chosen) % len(self._ports)])
        for port in sorted(self._ports, key=lambda each: each != first):
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection(self._address, port)
                self._chosen[client] = port
                await asyncio.gather(_copy(reader, back), _copy(there, writer))
                return
        writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """One way, to its end, however it ends."""
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()
