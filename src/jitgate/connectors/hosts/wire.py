"""What server and agent say to each other, as bytes: JSON, compact, and believed by neither side.

Keys are grouped by port, and times are whole microseconds since 1970 (UTC): 100,000 keys take 4 MB, one key 200
bytes. Whatever does not fit is `Malformed`; a prefix is accepted in its canonical spelling only, because it
ends up in a firewall command.
"""

import json
import math
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from jitgate.connectors.base import Capabilities, Connection, Proof, Report
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

LARGEST = 64 << 20
"""Bytes in a message: enough for more than a million keys."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_MOMENT = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LONGEST_TEXT = 4096
_MOST_TEXTS = 1000
_SMUGGLED = re.compile(rb"\\u(0000|[dD][89a-fA-F])")
"""Escapes of NUL, and of what may be half of a surrogate pair."""
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP}

Value = TypeVar("Value")
Json = dict[str, Any]


class Malformed(ValueError):
    """The other side said something that is not in the protocol."""


def dumps(value: Json) -> bytes:
    """A message as bytes."""
    return json.dumps(value, separators=(",", ":")).encode()


def loads(data: bytes) -> Json:
    """A message out of bytes: only what every other reader of it would take too. Raises Malformed.

    A text that no encoding holds, or a number that is none, would otherwise get as far as the record, which could then
    not be sealed any more.
    """
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a message is not JSON: {error}") from None
    if _SMUGGLED.search(data):
        _check_texts(value)
    return obj(value)


def encode_desired(desired: Desired) -> Json:
    return {
        "scope": desired.scope,
        "generation": desired.generation,
        "at": encode_time(desired.at),
        "machines": sorted(desired.machines),
        "protected": [
            [port.machine, port.port, port.protocol, protection.session, protection.force]
            for port, protection in desired.protected.items()
        ],
        "access": _group(desired.access, lambda end: None if end is None else encode_time(end)),
        "cut": _group(desired.cut, encode_time),
        "complete": desired.complete,
    }


def decode_desired(value: Json) -> Desired:
    """Raises Malformed."""
    return Desired(
        scope=text(value.get("scope")),
        generation=whole(value.get("generation")),
        at=decode_time(value.get("at")),
        machines=frozenset(map(text, items(value.get("machines")))),
        protected=dict(map(_protection, items(value.get("protected")))),
        access=_ungroup(value.get("access"), lambda end: None if end is None else decode_time(end)),
        cut=_ungroup(value.get("cut"), decode_time),
        complete=flag(value.get("complete")),
    )


def encode_report(report: Report) -> Json:
    return {
        "scope": report.scope,
        "generation": report.generation,
        "standing": _group(report.standing, encode_time),
        "shut": _group(dict.fromkeys(report.shut, 0), int),
        "protected": [[port.machine, port.port, port.protocol, clip(why)] for port, why in report.protected.items()],
        "capabilities": [report.capabilities.ends_sessions, report.capabilities.own_deadline],
        "refused": _group(report.refused, clip),
        "repaired": list(map(clip, report.repaired[:_MOST_TEXTS])),
        "outranked": list(map(clip, report.outranked[:_MOST_TEXTS])),
        "connections": {
            machine: [c.address, list(c.mapped_ports.items())] for machine, c in report.connections.items()
        },
        "complete": report.complete,
        "proof": None if report.proof is None else list(astuple(report.proof)),
    }


def decode_report(value: Json) -> Report:
    """Raises Malformed."""
    ends_sessions, own_deadline = exactly(2, value.get("capabilities"))
    return Report(
        scope=text(value.get("scope")),
        generation=whole(value.get("generation")),
        standing=_ungroup(value.get("standing"), decode_time),
        shut=frozenset(_ungroup(value.get("shut"), whole)),
        protected=dict(map(_state, items(value.get("protected")))),
        capabilities=Capabilities(flag(ends_sessions), flag(own_deadline)),
        refused=_ungroup(value.get("refused"), text),
        repaired=texts(value.get("repaired")),
        outranked=texts(value.get("outranked")),
        connections={text(m): _connection(c) for m, c in obj(value.get("connections")).items()},
        complete=flag(value.get("complete")),
        proof=None if value.get("proof") is None else Proof(*map(text, exactly(4, value["proof"]))),
    )


def encode_time(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def decode_time(value: object) -> datetime:
    """Raises Malformed."""
    return _EPOCH + timedelta(microseconds=whole(value, _LAST_MOMENT))


def clip(value: str) -> str:
    """A text for people, cut to what the other side accepts."""
    return value[:_LONGEST_TEXT].replace("\0", "?").encode("utf-8", "replace").decode()


def _number(spelt: str) -> float:
    if not math.isfinite(number := float(spelt)):
        raise Malformed(f"{spelt:.60} is not a finite number")
    return number


def _check_texts(value: object) -> None:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, list):
            left.extend(item)
        elif isinstance(item, dict):
            left.extend(item)
            left.extend(item.values())


def _check_text(found: str) -> None:
    if "\0" in found or any("\ud800" <= character <= "\udfff" for character in found):
        raise Malformed(f"{found!r:.60} holds NUL or half of a surrogate pair")


# Small readers, for other messages too. Each raises Malformed.


def obj(value: object) -> Json:
    if not isinstance(value, dict):
        raise Malformed(f"{value!r:.60} is not an object")
    return value


def items(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{value!r:.60} is not a list")
    return value


def exactly(count: int, value: object) -> list[Any]:
    found = items(value)
    if len(found) != count:
        raise Malformed(f"{value!r:.60} does not have {count} parts")
    return found


def text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise Malformed(f"{value!r:.60} is not a text of at most {_LONGEST_TEXT} characters")
    return value


def texts(value: object) -> tuple[str, ...]:
    found = items(value)
    if len(found) > _MOST_TEXTS:
        raise Malformed(f"a list has {len(found)} texts, more than {_MOST_TEXTS}")
    return tuple(map(text, found))


def whole(value: object, most: int = 1 << 62) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise Malformed(f"{value!r:.60} is not a whole number from 0 to {most}")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Malformed(f"{value!r:.60} is neither true nor false")
    return value


def prefix(value: object) -> Prefix:
    """A prefix in its canonical spelling, found out without `ipaddress`, which takes ten times as long."""
    spelt = value if isinstance(value, str) and len(value) < 64 and value.isascii() else ""
    address, slash, bits = spelt.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
        host_bits = len(packed) * 8 - int(bits)
        canonical = f"{socket.inet_ntop(family, packed)}/{len(packed) * 8 - host_bits}" == spelt
    except (OSError, ValueError):
        raise Malformed(f"{value!r:.60} is not a prefix") from None
    if not slash or not canonical or host_bits < 0 or int.from_bytes(packed) & ((1 << host_bits) - 1):
        raise Malformed(f"{value!r:.60} is not the canonical spelling of a prefix")
    return Prefix(spelt)


def address(value: object) -> str:
    """A single address in its canonical spelling."""
    spelt = text(value)
    return prefix(f"{spelt}/{128 if ':' in spelt else 32}").partition("/")[0]


def _group(values: Mapping[AccessKey, Value], encode: Callable[[Value], object]) -> list[list[object]]:
    groups: dict[tuple[str, int, str], dict[str, object]] = {}
    for key, value in values.items():
        groups.setdefault((key.machine, key.port, key.protocol), {})[key.prefix] = encode(value)
    return [[machine, port, protocol, each] for (machine, port, protocol), each in groups.items()]


def _ungroup(value: object, decode: Callable[[Any], Value]) -> dict[AccessKey, Value]:
    found: dict[AccessKey, Value] = {}
    for group in items(value):
        machine, port, protocol, each = exactly(4, group)
        target = port_key([machine, port, protocol])
        for spelt, encoded in obj(each).items():
            key = AccessKey(target.machine, target.port, target.protocol, prefix(spelt))
            found[key] = decode(encoded)
    return found


def port_key(parts: Iterable[Any]) -> PortKey:
    """Machine, port and protocol."""
    machine, number, protocol = parts
    if not isinstance(protocol, str) or protocol not in _PROTOCOLS:
        raise Malformed(f"{protocol!r:.60} is not a protocol")
    return PortKey(text(machine), whole(number, 65535), _PROTOCOLS[protocol])


def _protection(value: object) -> tuple[PortKey, Protection]:
    *target, session, force = exactly(5, value)
    if session not in ("keep", "end"):
        raise Malformed(f"{session!r:.60} is not what becomes of a session")
    return port_key(target), Protection(SessionEnd(session), flag(force))


def _state(value: object) -> tuple[PortKey, str]:
    *target, why = exactly(4, value)
    return port_key(target), text(why)


def _connection(value: object) -> Connection:
    address, mapped = exactly(2, value)
    pairs = [exactly(2, pair) for pair in items(mapped)]
    return Connection(text(address), {whole(own, 65535): whole(other, 65535) for own, other in pairs})
