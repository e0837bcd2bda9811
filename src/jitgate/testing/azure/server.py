"""The fake over HTTP on loopback, for clients of their own."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jitgate.testing.azure.arm import Arm, Dropped
from jitgate.testing.azure.messages import Request, Response

_LARGEST = 16 << 20


@contextlib.contextmanager
def serve(arm: Arm, address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Answer HTTP until the block ends; yields the URL that stands for ``https://management.azure.com``."""

    class Handler(_Handler):
        served = arm

    server = _Server((address, port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.end()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        made, peer = super().get_request()
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(made)
        return made, peer

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes is no news."""

    def end(self) -> None:
        """Stop listening, and end the connections that clients keep for later."""
        self.server_close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Arm

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST:
            self.close_connection = True
            return
        body = self.rfile.read(length)
        split = urlsplit(self.path)
        request = Request(
            self.command,
            unquote(split.path),
            dict(parse_qsl(split.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            body,
            f"http://{self.headers.get('Host', '')}",
        )
        try:
            self._send(self.served.handle(request))
        except Dropped:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = do_PATCH = _answer  # noqa: N815  (names of the base class)

    def _send(self, response: Response) -> None:
        body = b"" if response.body is None else json.dumps(response.body).encode()
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        if response.status != HTTPStatus.NO_CONTENT:
            lines += ["content-type: application/json; charset=utf-8", f"content-length: {len(body)}"]
        # One write: two would wait for each other's acknowledgement.
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if self.command == "HEAD" else body))

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""
