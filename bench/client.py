"""A client that costs as little as one can in Python, so that what is measured is the server."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and what. `body`: ``@SOURCE@`` in it stands for an address that is another one each time."""

    port: int
    ca: Path
    path: str
    body: str
    token: str = ""
    address: str = "127.0.0.1"
    method: str = "POST"
    cookie: str = ""

    def request(self, source: str) -> bytes:
        """The whole request."""
        body = self.body.replace("@SOURCE@", source).encode()
        headers = [
            f"{self.method} {self.path} HTTP/1.1",
            f"Host: localhost:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if self.token:
            headers.append(f"Authorization: Bearer {self.token}")
        if self.cookie:
            headers.append(f"Cookie: {self.cookie}")
        return "\r\n".join([*headers, "", ""]).encode() + body


class Refused(Exception):
    """The server answered something other than success."""


class Connection:
    """One connection over TLS, kept alive. A context manager."""

    def __init__(self, target: Target) -> None:
        self._target = target
        context = ssl.create_default_context(cafile=str(target.ca))
        plain = socket.create_connection((target.address, target.port), timeout=_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._incoming = self._socket.makefile("rb")

    def post(self, source: str) -> bytes:
        """The body of the answer. Raises Refused, OSError."""
        self._socket.sendall(self._target.request(source))
        status = self._incoming.readline()
        if not status:
            raise ConnectionError("the server hung up")
        body = self._incoming.read(self._read_length())
        if not status.startswith(b"HTTP/1.1 2"):
            raise Refused(f"{status.decode().strip()}: {body[:300].decode()}")
        return body

    def _read_length(self) -> int:
        length = 0
        while line := self._incoming.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return length

    def close(self) -> None:
        self._incoming.close()
        self._socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def source(number: int) -> str:
    """The address of that number in 12.0.0.0/8: some 16 million different ones."""
    return f"12.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
