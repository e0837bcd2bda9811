"""What server and agent say to each other.

::

    server                         agent
    Discover(1)            ->
                           <-      Hosts(1, …)
    Apply(2, desired)      ->
                           <-      Applied(2, report)   or   Failed(2, why)
                           <-      Happened(…)               at any time, unasked
                           <-      Hosts(0, …), Attempts(…)  the same, when they have changed
    Settled(record)        ->                                that record is safe; do not tell it again

Between the server and the agent beside it, each message is a length of four bytes and as many bytes of JSON; to a host
elsewhere they go in polls and replies (`jitgate.connectors.hosts.polls`).
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jitgate.connectors.base import ConnectorError, GenerationBehind, Report
from jitgate.connectors.hosts import wire
from jitgate.connectors.hosts.wire import Json, Malformed
from jitgate.core.desired import Desired, Protocol

LENGTH = struct.Struct(">I")


class Kind(StrEnum):
    """What happened, unasked. The first three are the server's own conclusions.

    CONNECTED an agent is there: for the host named, or for all beside the server; ANSWERED it answered what nobody
    waits for any more; DOUBLED two agents sign with the key of one host;
    STARTED a host was taken up anew, and knows nothing of what was desired; NOTICED its report would be another now;
    REPAIRED it put right what another hand
    had changed; RELEASED, PROTECTED by somebody at the host itself
    """

    CONNECTED = "connected"
    ANSWERED = "answered"
    DOUBLED = "doubled"
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


@dataclass(frozen=True, slots=True, order=True)
class Refused:
    """The last attempt of one source on one protected port, at most ten minutes ago. `at` is UTC, to the second or so.

    A hint, never evidence: under a flood some are missing, and a source address can be forged.
    """

    at: datetime
    source: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Attempts:
    """Who was turned away lately at protected ports of a host, the latest first."""

    scope: str
    refused: tuple[Refused, ...]


Request = Discover | Apply | Settled
Answer = Hosts | Applied | Failed | Happened | Attempts

MOST_ATTEMPTS = 64


class Unknown(Malformed):
    """A kind of message that this version does not know. The other side may be newer."""


def encode(message: Request | Answer) -> bytes:
    """A message with its length in front. Raises ConnectorError for one that is too long."""
    body = wire.dumps(as_json(message))
    if len(body) > wire.LARGEST:
        raise ConnectorError(f"a message of {len(body)} bytes is longer than {wire.LARGEST}", retry=False)
    return LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """What a server asks. Raises Malformed."""
    return request_of(wire.loads(body))


def decode_answer(body: bytes) -> Answer:
    """What an agent says. Raises Malformed."""
    return answer_of(wire.loads(body))


def request_of(value: Json) -> Request:
    """The same out of JSON. Raises Malformed, Unknown."""
    match value.get("say"):
        case "discover":
            return Discover(wire.whole(value.get("number")))
        case "apply":
            desired = wire.decode_desired(wire.obj(value.get("desired")))
            return Apply(wire.whole(value.get("number")), desired, wire.whole(value.get("worked_out")) / 1e6)
        case "settled":
            return Settled(wire.text(value.get("record")))
        case other:
            raise Unknown(f"a server does not say {other!r:.60}")


def answer_of(value: Json) -> Answer:
    """The same out of JSON. Raises Malformed, Unknown."""
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
        case "attempts":
            return _attempts(value)
        case other:
            raise Unknown(f"an agent does not say {other!r:.60}")


def receive(link: socket.socket) -> bytes | None:
    """The next message's body, waited for; None when the other side is gone. Raises Malformed, OSError."""
    head = _receive_exactly(link, LENGTH.size)
    return None if head is None else _receive_exactly(link, length_in(head))


def length_in(head: bytes) -> int:
    """How long the body is that follows. Raises Malformed."""
    length: int = LENGTH.unpack(head)[0]
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


def as_json(message: Request | Answer) -> Json:
    """A message as JSON."""
    return _request(message) if isinstance(message, (Discover, Apply, Settled)) else _answer(message)


def _request(message: Request) -> Json:
    match message:
        case Discover():
            return {"say": "discover", "number": message.number}
        case Apply():
            desired = wire.encode_desired(message.desired)
            worked_out = int(message.worked_out * 1e6)
            return {"say": "apply", "number": message.number, "worked_out": worked_out, "desired": desired}
        case Settled():
            return {"say": "settled", "record": message.record}


def _answer(message: Answer) -> Json:
    match message:
        case Hosts():
            return {"say": "hosts", "number": message.number, "hosts": list(map(_encode_facts, message.hosts))}
        case Applied():
            return {"say": "applied", "number": message.number, "report": wire.encode_report(message.report)}
        case Failed():
            return _encode_failed(message)
        case Happened():
            return _encode_happened(message)
        case Attempts():
            refused = [[wire.encode_time(r.at), r.source, r.protocol, r.port] for r in message.refused[:MOST_ATTEMPTS]]
            return {"say": "attempts", "scope": message.scope, "refused": refused}


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


def _attempts(value: Json) -> Attempts:
    listed = wire.items(value.get("refused"))
    if len(listed) > MOST_ATTEMPTS:
        raise Malformed(f"{len(listed)} attempts are more than {MOST_ATTEMPTS}")
    return Attempts(wire.text(value.get("scope")), tuple(map(_refused, listed)))


def _refused(value: object) -> Refused:
    at, source, protocol, number = wire.exactly(4, value)
    port = wire.port_key(["", number, protocol])
    return Refused(wire.decode_time(at), wire.address(source), port.protocol, port.port)
