"""nf_tables over raw netlink: what libnftables cannot say, and what it reads too slowly or too coarsely.

Claiming a table with OWNER|PERSIST (libnftables 1.0.6 knows no PERSIST), reading sets with times in milliseconds
(100,000 elements in half a second, and none of libnftables' cache), and the group that tells of every change.
Numbers are those of <linux/netfilter/nf_tables.h>.
"""

import ctypes
import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import netlink
from jitgate.connectors.hosts.netlink import attribute, attributes, number, text
from jitgate.connectors.hosts.netns import run_inside

INET = 1
HOOK_PREROUTING, HOOK_INPUT = 0, 1
SET_TIMEOUT, SET_MAP = 0x10, 0x08

_SUBSYSTEM = 10 << 8
_NEWTABLE, _GETTABLE, _GETCHAIN, _GETRULE, _GETSET, _GETELEMENTS = (_SUBSYSTEM | n for n in (0, 1, 4, 7, 10, 13))
_GETGENERATION = _SUBSYSTEM | 16
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_OWNER_AND_PERSIST = 0x2 | 0x4
_GROUP, _SOL_NETLINK, _ADD_MEMBERSHIP, _ATTACH_FILTER = 7, 270, 1, 26
_ANSWER_WITHIN_MS = 5_000
_ATTEMPTS, _RESIZE_SECONDS = 20, 0.05

_ATTRIBUTE = struct.Struct("=HH")
_KEY, _EXPIRES, _USER_DATA = 1, 5, 6


class Element(NamedTuple):
    """One element of a set. `expires_ms` is what is left of its time; None if it never ends."""

    key: bytes
    expires_ms: int | None
    comment: str


class Extension(NamedTuple):
    """A match or target of iptables in a rule, which only iptables itself can put in words."""

    kind: str
    name: str
    revision: int
    info: bytes


@dataclass(frozen=True, slots=True)
class SetShape:
    """What a set was made with."""

    flags: int
    key_length: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain as the kernel tells it. `hook` is None, and `kind` empty, for one that is only jumped to."""

    family: int
    table: str
    name: str
    kind: str
    hook: int | None
    priority: int
    policy: int | None
    comment: str


def claim(link: socket.socket, table: str) -> bool:
    """Make `table` the property of this socket, to outlive it; make the table if there is none.

    Whoever claims it keeps what is in it. False where the kernel has no PERSIST (reported from 6.9), or where the table
    was made without it. Raises ConnectorError if another process holds it.
    """
    body = _family(INET) + attribute(1, _name(table)) + attribute(2, struct.pack(">I", _OWNER_AND_PERSIST))
    link.send(
        netlink.message(_BATCH_BEGIN, 0, 1, _family(0, _SUBSYSTEM >> 8))
        + netlink.message(_NEWTABLE, netlink.ACK | netlink.CREATE, 2, body)
        + netlink.message(_BATCH_END, 0, 3, _family(0, _SUBSYSTEM >> 8))
    )
    code = _first_answer(link)
    if code == errno.EPERM:
        raise ConnectorError(f"another process owns the nftables table {table}; only one agent can serve a host")
    if code not in (0, errno.EOPNOTSUPP, errno.EINVAL):
        raise ConnectorError(f"the nftables table {table} cannot be claimed: {errno.errorcode.get(code, code)}")
    return code == 0


class Reader:
    """Reads what stands in one namespace. Not thread-safe."""

    def __init__(self, namespace: str | None) -> None:
        self._link = netlink.Link(namespace, netlink.NETFILTER)

    def tables(self) -> set[str]:
        """The names of the inet tables."""
        bodies = self._link.dump(_GETTABLE, _family(INET))
        return {text(attributes(body[4:])[1]) for body in bodies}

    def chains(self) -> list[Chain]:
        """Every chain of every table and family."""
        return [_chain(body) for body in self._link.dump(_GETCHAIN, _family(0))]

    def rules(self, table: str) -> list[tuple[str, bytes]]:
        """Of each rule of an inet table, in order: its chain, and what it does as the kernel keeps it."""
        bodies = self._dump_inside(_GETRULE, attribute(1, _name(table)))
        each = [attributes(body[4:]) for body in bodies]
        return [(text(rule[2]), bytes(rule.get(4, b""))) for rule in each if text(rule[1]) == table]

    def extensions(self, family: int, table: str) -> dict[int, list[Extension]]:
        """What iptables left in the rules of a table, by the rule's handle and in order."""
        bodies = self._dump_inside(_GETRULE, attribute(1, _name(table)), family)
        each = [attributes(body[4:]) for body in bodies]
        return {number(rule[3]): found for rule in each if (found := list(_extensions(rule.get(4, _NOTHING))))}

    def generation(self) -> int:
        """A number that is another one after every change of the ruleset, whoever made it."""
        return number(attributes(self._link.ask(_GETGENERATION, _family(0))[4:])[1])

    def sets(self, table: str) -> dict[str, SetShape]:
        """The named sets of an inet table."""
        bodies = self._dump_inside(_GETSET, attribute(1, _name(table)))
        each = [attributes(body[4:]) for body in bodies]
        return {
            text(found[2]): SetShape(number(found.get(3, _NOTHING)), number(found.get(5, _NOTHING)))
            for found in each
            if text(found[1]) == table and not text(found[2]).startswith("__")
        }

    def elements(self, table: str, name: str) -> list[Element]:
        """The elements of a set; none if there is no such set."""
        for _ in range(_ATTEMPTS):
            found = list(self._read_elements(table, name))
            # While the kernel resizes a hash table, a dump shows some elements twice, and others not at all.
            if len({each.key for each in found}) == len(found):
                return found
            time.sleep(_RESIZE_SECONDS)
        raise ConnectorError(f"set {name} of table {table} cannot be read: it never stands still")

    def close(self) -> None:
        self._link.close()

    def _read_elements(self, table: str, name: str) -> Iterator[Element]:
        for body in self._dump_inside(_GETELEMENTS, attribute(1, _name(table)) + attribute(2, _name(name))):
            listed = attributes(body[4:]).get(3)
            if listed is not None:
                yield from _elements(listed)

    def _dump_inside(self, kind: int, where: bytes, family: int = INET) -> list[memoryview]:
        """What is in a table or set; nothing if there is no such table or set."""
        try:
            return self._link.dump(kind, _family(family) + where)
        except FileNotFoundError:
            return []


def watch(namespace: str | None, own_port: int) -> socket.socket:
    """A socket that hears of every change of the ruleset but those made through the netlink port `own_port`."""

    def opened() -> socket.socket:
        made = netlink.open_socket(netlink.NETFILTER)
        made.bind((0, 0))
        _ignore(made, own_port)
        made.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        made.setblocking(False)
        return made

    with netlink.making_a_socket:
        return run_inside(namespace, opened)


def changed_tables(received: bytes) -> set[str]:
    """The inet tables that the changes in one datagram from `watch` touch."""
    found = set()
    for kind, _, body in netlink.messages(memoryview(received)):
        # The generation message that ends a transaction carries a number where the others have the table.
        if kind >> 8 == _SUBSYSTEM >> 8 and kind & 0xFF != 15 and body[0] == INET:
            found.add(text(attributes(body[4:]).get(1, _NOTHING)))
    return found


_NOTHING = memoryview(b"")


def _family(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)


def _name(name: str) -> bytes:
    return name.encode("ascii") + b"\0"


def _first_answer(link: socket.socket) -> int:
    """The errno of the one acknowledgement asked for. libnftables keeps its socket non-blocking."""
    poll = select.poll()
    poll.register(link, select.POLLIN)
    if not poll.poll(_ANSWER_WITHIN_MS):
        raise ConnectorError("the kernel did not answer on the nftables socket")
    answers = netlink.messages(memoryview(link.recv(65536)))
    return next((netlink.error_of(body) for _, _, body in answers), 0)


def _chain(body: memoryview) -> Chain:
    found = attributes(body[4:])
    hook = attributes(found[4]) if 4 in found else {}
    return Chain(
        family=body[0],
        table=text(found[1]),
        name=text(found[3]),
        kind=text(found.get(7, _NOTHING)),
        hook=number(hook[1]) if 1 in hook else None,
        priority=int.from_bytes(hook[2], "big", signed=True) if 2 in hook else 0,
        policy=number(found[5]) if 5 in found else None,
        comment=_comment(found.get(12, _NOTHING)),
    )


def _extensions(expressions: memoryview) -> Iterator[Extension]:
    for _, expression in netlink.each_attribute(expressions):
        found = attributes(expression)
        kind = text(found[1])
        if kind in ("match", "target"):
            data = attributes(found[2])
            yield Extension(kind, text(data[1]), number(data[2]), bytes(data[3]))


def _elements(listed: memoryview) -> Iterator[Element]:
    """The elements in one message. Written without a dictionary each, for there may be a hundred thousand."""
    header = _ATTRIBUTE.unpack_from
    start = 0
    while start < len(listed):
        length = header(listed, start)[0]
        end, at = start + length, start + 4
        key, expires, comment = b"", None, ""
        while at < end:
            size, kind = header(listed, at)
            kind &= netlink.TYPE_MASK
            if kind == _EXPIRES:
                expires = int.from_bytes(listed[at + 4 : at + size], "big")
            elif kind == _KEY:
                key = bytes(listed[at + 8 : at + size])
            elif kind == _USER_DATA:
                comment = _comment(listed[at + 4 : at + size])
            at += (size + 3) & ~3
        yield Element(key, expires, comment)
        start = (end + 3) & ~3


def _comment(user_data: memoryview) -> str:
    """The comment in what userspace stored beside an object: type, length and value, the comment being type 0."""
    stored = bytes(user_data)
    offset = 0
    while offset + 2 <= len(stored):
        kind, length = stored[offset], stored[offset + 1]
        if kind == 0:
            return stored[offset + 2 : offset + 1 + length].decode("utf-8", "replace")
        offset += 2 + length
    return ""


def _ignore(link: socket.socket, port: int) -> None:
    """A classic BPF filter on the sender's port, which a message carries in its header at byte 12."""
    as_loaded = socket.htonl(port)
    load, compare, give = 0x20, 0x15, 0x06
    program = b"".join(
        struct.pack("=HBBI", *step)
        for step in ((load, 0, 0, 12), (compare, 0, 1, as_loaded), (give, 0, 0, 0), (give, 0, 0, 0xFFFF_FFFF))
    )
    held = ctypes.create_string_buffer(program, len(program))
    link.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", 4, ctypes.addressof(held)))
