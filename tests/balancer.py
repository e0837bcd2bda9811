"""A trivial balancer: passes TCP on, in turn, to those servers that say at /readyz that they are ready."""

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Self

from tests.netns import Namespace

LOOK_EVERY = 0.1
_CONNECT_SECONDS = 30.0


class Balancer:
    """On an address of a namespace, like the servers behind it. Ended, with all its connections, when left."""

    def __init__(self, namespace: Namespace, address: str, ports: Sequence[int]) -> None:
        self._namespace, self._address, self._ports = namespace, address, ports
        self._ready: tuple[int, ...] = tuple(ports)
        self._turn = count()
        self._ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._listening = namespace.make_socket(socket.AF_INET)
        self._listening.bind((address, 0))
        self._listening.listen(64)
        self.url = f"https://{address}:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._accept, self._look)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for each in (self._listening, *list(self._open)):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def is_ready(self, port: int) -> bool:
        """What a server says of itself."""
        try:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with (
                self._namespace.connect(self._address, port, timeout=_CONNECT_SECONDS) as made,
                # The handshake by itself: where it fails, the socket is closed all the same.
                context.wrap_socket(made, do_handshake_on_connect=False) as secure,
            ):
                secure.do_handshake()
                secure.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in secure.recv(64)
        except OSError:
            return False

    def _look(self) -> None:
        while not self._ending.wait(LOOK_EVERY):
            self._ready = tuple(port for port in self._ports if self.is_ready(port))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            server = self._connect()
            if server is None:
                return
            with server:
                self._open |= {client, server}
                with contextlib.suppress(OSError):
                    _pass_on(client, server)
                self._open -= {client, server}

    def _connect(self) -> socket.socket | None:
        """To one that is ready; where that one has just gone, to another."""
        ready, first = self._ready, next(self._turn)
        for place in range(len(ready)):
            with contextlib.suppress(OSError):
                port = ready[(first + place) % len(ready)]
                made = self._namespace.connect(self._address, port, timeout=_CONNECT_SECONDS)
                made.settimeout(None)
                return made
        return None


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Until both sides have said all."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if data := key.fileobj.recv(65536):
                    key.data.sendall(data)
                    continue
                selector.unregister(key.fileobj)
                key.data.shutdown(socket.SHUT_WR)
