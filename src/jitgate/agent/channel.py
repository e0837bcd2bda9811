"""HTTPS to one server, over one connection that stays open: the standard library's, which is all that a host needs."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from jitgate.connectors.hosts.wire import LARGEST

_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Channel:
    """One thread exchanges; another may interrupt it. Every failure is an OSError (ssl's are) or an HTTPException."""

    def __init__(self, url: str, context: ssl.SSLContext, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise ValueError(f"{url!r} is not an https URL")
        self._host, self._port = parts.hostname, parts.port or 443
        self._prefix = parts.path.rstrip("/")
        self._context = context
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self.interrupted = False

    def exchange(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Ask once. After a failure the next exchange connects anew."""
        try:
            connection = self._connected()
            if self.interrupted:
                raise InterruptedError("there is something to say first")
            sent = {"Content-Type": "application/json", **(headers or {})} if body else dict(headers or {})
            connection.request(method, self._prefix + path, body or None, sent)
            response = connection.getresponse()
            answer = response.read(LARGEST + 1)
            if response.will_close:
                # The next exchange is to connect here, not within http.client, which knows of no longer patience.
                self.close()
        except BaseException:
            self.close()
            raise
        if len(answer) > LARGEST:
            self.close()
            raise http.client.HTTPException(f"the answer is longer than {LARGEST} bytes")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, answer)

    def interrupt(self) -> None:
        """End the exchange under way or about to begin, with an OSError."""
        self.interrupted = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                # Not close: the descriptor may be another's before the reading thread looks at it again.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            opened = http.client.HTTPSConnection(
                self._host, self._port, timeout=_CONNECT_SECONDS, context=self._context
            )
            self._connection = opened
            opened.connect()
            opened.sock.settimeout(self._timeout)
            opened.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            opened.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection


def trusting(authorities: str) -> ssl.SSLContext:
    """Checks the server's certificate against these (PEM), or "" for the system's own authorities."""
    context = ssl.create_default_context(cadata=authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def trusting_only(authority: str) -> ssl.SSLContext:
    """Checks the server's certificate against an authority that vouches for one server and for nobody else.

    It asks for no name: a server that has certificates of several authorities then shows the one by its own.
    """
    context = _Nameless(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def trusting_nobody() -> ssl.SSLContext:
    """Checks nothing: only for what is public, and proven by a pin or a signature once it is here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Nameless(ssl.SSLContext):
    def wrap_socket(self, sock: socket.socket, *_: object, **__: object) -> ssl.SSLSocket:
        """As a client, without a name."""
        return super().wrap_socket(sock)
