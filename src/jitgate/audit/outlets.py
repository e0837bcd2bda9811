"""Where signed heads go besides the database: out of reach of whoever takes over this machine.

Each outlet takes a head as one line (`Head.line`), and may get it more than once. All of them block; the courier runs
them in a thread. Heads are signed, so a receiver need trust nobody on the way.
"""

import os
import socket
from pathlib import Path
from typing import Protocol

import httpx

from jitgate.core.record import Head, moment
from jitgate.store.heads import Sealed

TIMEOUT_SECONDS = 10.0

_PRIORITY = 13 * 8 + 5
"""Facility "log audit", severity "notice" (RFC 5424, 6.2.1)."""


class Undelivered(Exception):
    """An outlet did not take a head; it is offered again."""


class Outlet(Protocol):
    """A place that heads are sent to. `name` is what its progress is kept under."""

    @property
    def name(self) -> str: ...

    def send(self, sealed: Sealed) -> None:
        """Have a head kept there before this returns, as far as can be told. Raises Undelivered."""
        ...


class FileOutlet:
    """Appends to a file: on another machine's disk, or on one that can only be appended to (chattr +a)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = f"file {path}"

    def send(self, sealed: Sealed) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                # In one piece: what a crash cuts short would else run into the next line.
                file.write(sealed.line + b"\n")
                os.fsync(file.fileno())
        except OSError as error:
            raise Undelivered(f"{self._path}: {error.strerror}") from error


class WebhookOutlet:
    """Posts each head as JSON. Any answer of 2xx counts as kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        # Without its query, which may be a secret: the name goes into the log and the database.
        self.name = f"webhook {url.partition('?')[0]}"

    def send(self, sealed: Sealed) -> None:
        try:
            answer = httpx.post(
                self._url,
                content=sealed.line,
                headers={"Content-Type": "application/json"},
                timeout=TIMEOUT_SECONDS,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Undelivered(f"{type(error).__name__}") from error
        if not answer.is_success:
            raise Undelivered(f"the receiver answers {answer.status_code}")


class SyslogOutlet:
    """Tells a syslog server (RFC 5424), by TCP with counted octets (RFC 6587) or by UDP, of which nothing is heard."""

    def __init__(self, way: str, host: str, port: int) -> None:
        self._way, self._place = way, (host, port)
        self.name = f"syslog {way}://{host}:{port}"

    def send(self, sealed: Sealed) -> None:
        message = _syslog_message(sealed.head, sealed.line)
        try:
            if self._way == "tcp":
                self._send_stream(message)
            else:
                self._send_datagram(message)
        except OSError as error:
            raise Undelivered(f"{error.strerror or type(error).__name__}") from error

    def _send_stream(self, message: bytes) -> None:
        with socket.create_connection(self._place, timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(b"%d %s" % (len(message), message))

    def _send_datagram(self, message: bytes) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sender:
            sender.settimeout(TIMEOUT_SECONDS)
            sender.sendto(message, address)


def _syslog_message(head: Head, line: bytes) -> bytes:
    return f"<{_PRIORITY}>1 {moment(head.at)} {socket.gethostname()} jitgate - head - ".encode() + line
