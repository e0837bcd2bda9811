"""What server and agent say to each other.

::

    server                         agent
    Discover(1)            ->
                           <-      Hosts(1, …)
    Apply(2, desired)      ->
                           <-      Applied(2, report)   or   Failed(2, why)
                           <-      Happened(…)               at any time, unasked
    Settled(record)        ->                                that record is safe; do not tell it again

Each message is a length of four bytes and as many bytes of JSON.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jitgate.connectors.base import ConnectorError, GenerationBehind, Report
from jitgate.connectors.hosts import wire
from jitgate.connectors.hosts.wire import Json, Malformed
from jitgate.core.desired import Desired

_LENGTH = struct.Struct(">I")


class Kind(StrEnum):
    """What happened, unasked. The first two are the server's own conclusions.

    CONNECTED an agent is there, for all hosts; ANSWERED it answered what nobody waits for any more;
    STARTED a host was taken up anew, and knows nothing of what was desired; NOTICED its report would be another now;
    REPAIRED it put right what another hand
    had changed; RELEASED, PROTECTED by somebody at the host itself
    """

    CONNECTED = "connected"
    ANSWERED = "answered"
    STARTED = "started"
    NOTICED = "noticed"
    REPAIRED = "repaired"
    RELEASED = "released"
    PROTECTED = "protected"


@dataclass(frozen=True, slots=True)
class Discover:
    number: int


@dataclass(frozen=True, slots=True)
class Apply:
    """`worked_out`: when it was `desired.at` on the elapsed clock of the machine that both sides run on. What time the
    message spends on its way and waiting for its turn is taken off the grants."""

    number: int
    desired: Desired
    worked_out: float


@dataclass(frozen=True, slots=True)
class Settled:
    record: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """`unsupported`: "" or why the host's firewall cannot be held."""

    name: str
    uuid: str
    addresses: tuple[str, ...] = ()
    unsupported: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hosts:
    number: int
    hosts: tuple[HostFacts, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    number: int
    report: Report


@dataclass(frozen=True, slots=True)
class Failed:
    """`current`: the generation that the agent holds, when it was asked for an older one."""

    number: int
    message: str
    retry: bool = True
    current: int | None = None

    def error(self) -> ConnectorError:
        """The same as an exception."""
        return (
            ConnectorError(self.message, retry=self.retry) if self.current is None else GenerationBehind(self.current)
        )


@dataclass(frozen=True, slots=True)
class Happened:
    """`record`: names the entry of the host's own record that this tells of, until it is settled; "" if there is none.

    `by` and `why`: who did it, and their reason; "" where nobody did.
    """

    kind: Kind
    scope: str
    detail: str
    at: datetime
    by: str = ""
    why: str = ""
    record: str = ""


Request = Discover | Apply | Settled
Answer = Hosts | Applied | Failed | Happened


def encode(message: Request | Answer) -> bytes:
    """A message with its length in front. Raises ConnectorError for one that is too long."""
    body = wire.dumps(_encode(message))
    if len(body) > wire.LARGEST:
        raise ConnectorError(f"a message of {len(body)} bytes is longer than {wire.LARGEST}", retry=False)
    return _LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """What a server asks. Raises Malformed."""
    value = wire.loads(body)
    match value.get("say"):
        case "discover":
            return Discover(wire.whole(value.get("number")))
        case "apply":
            desired = wire.decode_desired(wire.obj(value.get("desired")))
            return Apply(wire.whole(value.get("number")), desired, wire.whole(value.get("worked_out")) / 1e6)
        case "settled":
            return Settled(wire.text(value.get("record")))
        case other:
            raise Malformed(f"a server does not say {other!r:.60}")


def decode_answer(body: bytes) -> Answer:
    """What an agent says. Raises Malformed."""
    value = wire.loads(body)
    match value.get("say"):
        case "hosts":
            hosts = tuple(_facts(wire.obj(each)) for each in wire.items(value.get("hosts")))
            return Hosts(wire.whole(value.get("number")), hosts)
        case "applied":
            return Applied(wire.whole(value.get("number")), wire.decode_report(wire.obj(value.get("report"))))
        case "failed":
            return _failed(value)
        case "happened":
            return _happened(value)
        case other:
            raise Malformed(f"an agent does not say {other!r:.60}")


def receive(link: socket.socket) -> bytes | None:
    """The next message's body, waited for; None when the other side is gone. Raises Malformed, OSError."""
    head = _receive_exactly(link, _LENGTH.size)
    return None if head is None else _receive_exactly(link, _length(head))


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's body; None when the other side is gone. Raises Malformed, OSError."""
    try:
        return await reader.readexactly(_length(await reader.readexactly(_LENGTH.size)))
    except asyncio.IncompleteReadError:
        return None


def _length(head: bytes) -> int:
    length: int = _LENGTH.unpack(head)[0]
    if length > wire.LARGEST:
        raise Malformed(f"a message announces {length} bytes, more than {wire.LARGEST}")
    return length


def _receive_exactly(link: socket.socket, count: int) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        piece = link.recv(min(count - len(found), 1 << 20))
        if not piece:
            return None
        found += piece
    return bytes(found)


def _encode(message: Request | Answer) -> Json:
    match message:
        case Discover():
            return {"say": "discover", "number": message.number}
        case Apply():
            desired = wire.encode_desired(message.desired)
            worked_out = int(message.worked_out * 1e6)
            return {"say": "apply", "number": message.number, "worked_out": worked_out, "desired": desired}
        case Settled():
            return {"say": "settled", "record": message.record}
        case Hosts():
            return {"say": "hosts", "number": message.number, "hosts": list(map(_encode_facts, message.hosts))}
        case Applied():
            return {"say": "applied", "number": message.number, "report": wire.encode_report(message.report)}
        case Failed():
            return _encode_failed(message)
        case Happened():
            return _encode_happened(message)


def _encode_facts(host: HostFacts) -> Json:
    return {
        "name": host.name,
        "uuid": host.uuid,
        "addresses": list(host.addresses),
        "unsupported": wire.clip(host.unsupported),
        "facts": dict(host.facts),
    }


def _facts(value: Json) -> HostFacts:
    return HostFacts(
        name=wire.text(value.get("name")),
        uuid=wire.text(value.get("uuid")),
        addresses=wire.texts(value.get("addresses")),
        unsupported=wire.text(value.get("unsupported")),
        facts=wire.obj(value.get("facts")),
    )


def _encode_failed(failed: Failed) -> Json:
    return {
        "say": "failed",
        "number": failed.number,
        "message": wire.clip(failed.message),
        "retry": failed.retry,
        "current": failed.current,
    }


def _failed(value: Json) -> Failed:
    current = value.get("current")
    return Failed(
        number=wire.whole(value.get("number")),
        message=wire.text(value.get("message")),
        retry=wire.flag(value.get("retry")),
        current=None if current is None else wire.whole(current),
    )


def _encode_happened(happened: Happened) -> Json:
    return {
        "say": "happened",
        "kind": happened.kind,
        "scope": happened.scope,
        "detail": wire.clip(happened.detail),
        "at": wire.encode_time(happened.at),
        "by": wire.clip(happened.by),
        "why": wire.clip(happened.why),
        "record": happened.record,
    }


def _happened(value: Json) -> Happened:
    kind = wire.text(value.get("kind"))
    if kind not in list(Kind):
        raise Malformed(f"nothing is known of {kind!r:.60}")
    return Happened(
        kind=Kind(kind),
        scope=wire.text(value.get("scope")),
        detail=wire.text(value.get("detail")),
        at=wire.decode_time(value.get("at")),
        by=wire.text(value.get("by")),
        why=wire.text(value.get("why")),
        record=wire.text(value.get("record")),
    )
