"""The listening sockets of one mapped port. They are there only while somebody may come in."""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence

from jitgate.connectors.gateway.relay import family_of, reset_on_close
from jitgate.core.prefixes import Prefix, of_address

_BACKLOG = 512
_AT_ONCE = 64
"""Connections taken before others get a turn."""

_REST_SECONDS = 0.5
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_SUCH_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104

Welcome = Callable[[socket.socket, Prefix], bool]
"""Takes a client over, or says that it may not come in."""


class Door:
    """Listens from the first moment. Raises OSError when it cannot."""

    def __init__(self, loop: asyncio.AbstractEventLoop, addresses: Sequence[str], port: int, welcome: Welcome) -> None:
        self._loop, self._welcome = loop, welcome
        self._resting: dict[socket.socket, asyncio.TimerHandle] = {}
        self._sockets = listen(addresses, port)
        for each in self._sockets:
            loop.add_reader(each, self._accept, each)

    def close(self) -> None:
        """Listen no longer. Who waits to be accepted is reset."""
        for timer in self._resting.values():
            timer.cancel()
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()
        self._sockets = []

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(listening)
                return
            client.setblocking(False)
            if not self._welcome(client, of_address(address[0])):
                reset_on_close(client)
                client.close()

    def _rest(self, listening: socket.socket) -> None:
        """There is no descriptor left: what waits would be told again and again."""
        self._loop.remove_reader(listening)
        self._resting[listening] = self._loop.call_later(
            _REST_SECONDS, lambda: self._loop.add_reader(listening, self._accept, listening)
        )


def listen(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Sockets that listen on a port of each address. Raises OSError.

    "All addresses" of a family that this machine has not are none.
    """
    opened: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                opened.append(_listen(address, port))
            except OSError as error:
                if not _is_missing(address, error):
                    raise
        if not opened:
            raise OSError(errno.EADDRNOTAVAIL, "there is no address to listen on")
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def is_free(addresses: Sequence[str], port: int) -> bool:
    """Whether a port can be listened on now."""
    try:
        opened = listen(addresses, port)
    except OSError:
        return False
    for each in opened:
        each.close()
    return True


def _listen(address: str, port: int) -> socket.socket:
    made = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        # What ended a moment ago on this port must not keep it from being opened again. It shares with nobody.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _is_missing(address: str, error: OSError) -> bool:
    """Whether all that is wrong is that this machine does not know the family of "all addresses"."""
    return error.errno in _NO_SUCH_FAMILY and address in _UNSPECIFIED
