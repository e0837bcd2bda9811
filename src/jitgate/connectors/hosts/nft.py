"""libnftables through ctypes (libnftables(3)): commands as text, one transaction each."""

import ctypes
import json
import os
import socket
import threading
from functools import cache
from typing import Any

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import netlink, nf_tables
from jitgate.connectors.hosts.netns import run_inside
from jitgate.failpoints import failpoint

_JSON, _TERSE = 1 << 4, 1 << 11
_LONGEST_MESSAGE = 2_000


class Nft:
    """One libnftables context, which stays in the namespace it was made for. Thread-safe: one command at a time."""

    def __init__(self, namespace: str | None) -> None:
        self._library = _library()
        self._lock = threading.Lock()
        with netlink.making_a_socket:
            before = _sockets()
            self._context = ctypes.c_void_p(run_inside(namespace, lambda: self._library.nft_ctx_new(0)))
            self._socket = _own(_sockets() - before)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    @property
    def port(self) -> int:
        """The netlink port that our changes come from; 0 where it cannot be told."""
        if self._socket is None:
            return 0
        port: int = self._socket.getsockname()[0]
        return port

    def run(self, commands: list[str]) -> None:
        """Carry out all the commands, or none of them. Raises ConnectorError with nft's own words."""
        if not commands:
            return
        failpoint("hosts.nft.before")
        self._run("\n".join(commands))
        failpoint("hosts.nft.after")

    def list_json(self, command: str) -> list[dict[str, Any]]:
        """What a list command shows, without the elements of sets (libnftables-json(5)). Raises ConnectorError."""
        self._library.nft_ctx_output_set_flags(self._context, _JSON | _TERSE)
        listed: list[dict[str, Any]] = json.loads(self._run(command) or '{"nftables": []}')["nftables"]
        return listed

    def claim(self, table: str) -> bool:
        """See `nf_tables.claim`; False also where our own socket cannot be told."""
        if self._socket is None:
            return False
        with self._lock:
            return nf_tables.claim(self._socket, table)

    def close(self) -> None:
        """Give the context back. A table that was claimed stays, and belongs to nobody."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._library.nft_ctx_free(self._context)

    def _run(self, text: str) -> str:
        with self._lock:
            failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode("ascii"))
            output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
            error: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise ConnectorError(f"nft refused: {error.decode('utf-8', 'replace')[:_LONGEST_MESSAGE].strip()}")
        return output.decode("utf-8", "replace")


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        raise ConnectorError("libnftables.so.1 is missing; install nftables 0.9.9 or later", retry=False) from None
    context = ctypes.c_void_p
    library.nft_ctx_new.restype, library.nft_ctx_new.argtypes = context, [ctypes.c_uint32]
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [context]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype, getattr(library, name).argtypes = ctypes.c_char_p, [context]
    return library


def _sockets() -> set[tuple[int, str]]:
    """Descriptor and identity of every socket of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add((int(name), target))
    return found


def _own(appeared: set[tuple[int, str]]) -> socket.socket | None:
    """A second handle on the socket that libnftables opened, if exactly one netfilter socket appeared."""
    found = [descriptor for descriptor, _ in appeared if _is_netfilter(descriptor)]
    if len(found) != 1:
        return None
    # A program that we start must not inherit it: the table would go on belonging to that one.
    os.set_inheritable(found[0], False)
    handle = socket.socket(fileno=os.dup(found[0]))
    handle.bind((0, 0))
    return handle


def _is_netfilter(descriptor: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as handle:
            return handle.family == socket.AF_NETLINK and handle.proto == netlink.NETFILTER
    except OSError:
        return False
