"""From the contract's JSON to the words of the core.

What the contract does not know is ignored, as the real service does; what it marks read-only (`requests`, `id`,
`name`, `type`, `location`, `provisioningState`) too. Texts are kept as they were written.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from jitgate.core import duration, policy, prefixes
from jitgate.core.access import MOST_GRANTS, Ask, MachineAsk, PortAsk, Span
from jitgate.core.desired import Protocol
from jitgate.core.errors import Invalid
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import MachineId, PolicyId, parse_machine_id
from jitgate.web.arm.fields import Fields, shown

NEITHER_OR_BOTH = "InvalidInitiateInput"
_LONGEST_KIND = 60
_LONGEST_NUMBER = 5

_ONE, _MANY = "allowedSourceAddressPrefix", "allowedSourceAddressPrefixes"
_SOURCE = "an IP address, a CIDR prefix such as 203.0.113.0/24, or * for any source"
# Several in one text: PowerShell joins an array with spaces where a text is wanted, the portal with commas.
_BETWEEN = re.compile(r"[\s,]+")
_TIME = re.compile(
    r"(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:\d\d)", re.IGNORECASE
)


def parse_policy(body: object, id: PolicyId, longest: timedelta) -> Policy:
    """A policy to put. `longest`: the most that the installation lets a policy allow. Raises Invalid."""
    fields = Fields(body, "")
    kind = fields.text("kind") or "Basic"
    if len(kind) > _LONGEST_KIND:
        raise Invalid("kind", f"{shown(kind)} is not a kind of policy", allowed="Basic")
    properties = Fields(fields.need("properties", "an object with virtualMachines"), "properties")
    machines = [_machine_policy(item, longest) for item in properties.objects("virtualMachines", policy.MOST_MACHINES)]
    policy.check_machines(machines, "properties.virtualMachines")
    return Policy(id, tuple(machines), kind)


def parse_ask(body: object, caller: Prefix | None) -> Ask:
    """What somebody asks for. `caller`: the source of a port that names none. Raises Invalid."""
    fields = Fields(body, "")
    machines = tuple(_machine_ask(item, caller) for item in fields.objects("virtualMachines", MOST_GRANTS))
    return Ask(machines, fields.text("justification") or "", caller)


def _machine_policy(fields: Fields, longest: timedelta) -> MachinePolicy:
    machine = _machine_id(fields)
    ports = tuple(_port_rule(item, longest) for item in fields.objects("ports", policy.MOST_PORTS))
    policy.check_ports(ports, fields.field("ports"))
    return MachinePolicy(machine, ports, _public_ip_address(fields))


def _port_rule(fields: Fields, longest: timedelta) -> PortRule:
    number = _number(fields)
    protocol = _protocol(fields)
    texts = _source_texts(fields)
    if texts is None:
        raise Invalid(fields.field(_ONE), "no source is allowed", allowed=_SOURCE)
    field = fields.field("maxRequestAccessDuration")
    length = duration.parse(fields.need("maxRequestAccessDuration", "ISO 8601, for example PT3H"), field)
    policy.check_max_duration(length, field, longest)
    return PortRule(number, protocol, _sources(texts, fields), texts, length)


def _machine_ask(fields: Fields, caller: Prefix | None) -> MachineAsk:
    machine = _machine_id(fields)
    ports = tuple(_port_ask(item, caller) for item in fields.objects("ports", policy.MOST_PORTS))
    return MachineAsk(machine, ports, fields.path)


def _machine_id(fields: Fields) -> MachineId:
    return parse_machine_id(fields.need("id", "the id of a machine"), fields.field("id"))


def _port_ask(fields: Fields, caller: Prefix | None) -> PortAsk:
    texts = _source_texts(fields)
    return PortAsk(
        number=_number(fields),
        sources=_callers_own(fields, caller) if texts is None else _sources(texts, fields),
        span=_span(fields),
        source_texts=texts,
        field=fields.path,
    )


def _number(fields: Fields) -> int:
    """A port number; also as a text of digits, as some clients send it."""
    value, field = fields.need("number", "1 to 65535"), fields.field("number")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(field, f"{shown(value)} is not a port", allowed="1 to 65535")
    if value.bit_length() > 64:
        raise Invalid(field, "the number is too large to be a port", allowed="1 to 65535")
    return policy.check_number(value, field)


def _protocol(fields: Fields) -> Protocol:
    value = fields.need("protocol", "TCP, UDP or *")
    try:
        return Protocol(value.upper())
    except (AttributeError, ValueError):
        raise Invalid(fields.field("protocol"), f"{shown(value)} is not a protocol", allowed="TCP, UDP or *") from None


def _source_texts(fields: Fields) -> str | tuple[str, ...] | None:
    """Sources as they are written: one text, or a list; None: left out. Raises Invalid for both at once."""
    one, many = fields.text(_ONE), fields.get(_MANY)
    if one is not None and many is not None:
        raise Invalid(fields.field(_MANY), f"{_ONE} and {_MANY} exclude each other", allowed="one of the two")
    if many is None:
        return one
    if not isinstance(many, list) or not all(isinstance(text, str) for text in many):
        raise Invalid(
            fields.field(_MANY), f"{shown(many)} is not a list of texts", allowed=f"a list; each entry {_SOURCE}"
        )
    return tuple(many)


def _sources(texts: str | tuple[str, ...], fields: Fields) -> tuple[Prefix, ...]:
    if isinstance(texts, str):
        return prefixes.parse_all(_BETWEEN.split(texts.strip()), fields.field(_ONE))
    field = fields.field(_MANY)
    if not texts:
        raise Invalid(field, "the list is empty", allowed=f"at least one entry; each {_SOURCE}")
    found = [prefix for index, text in enumerate(texts) for prefix in prefixes.parse(text.strip(), f"{field}[{index}]")]
    return prefixes.collapse(found)


def _callers_own(fields: Fields, caller: Prefix | None) -> tuple[Prefix, ...]:
    """What the contract says of a source that is left out."""
    if caller is None:
        raise Invalid(
            fields.field(_ONE),
            "no source is given, and this call does not show the address it comes from",
            allowed=_SOURCE,
        )
    return (caller,)


def _span(fields: Fields) -> Span:
    """How long: `endTimeUtc` or `duration`, and never both; a port without end is never opened."""
    end, length = fields.get("endTimeUtc"), fields.get("duration")
    if (end is None) == (length is None):
        what = (
            "endTimeUtc and duration exclude each other"
            if end is not None
            else "neither endTimeUtc nor duration is given"
        )
        raise Invalid(fields.field("endTimeUtc"), what, allowed="one of the two", code=NEITHER_OR_BOTH)
    if length is not None:
        return Span(duration=duration.parse(length, fields.field("duration")))
    return Span(end=parse_time(end, fields.field("endTimeUtc")))


def parse_time(value: Any, field: str) -> datetime:
    """A moment with its zone; digits beyond the microsecond are cut off. Raises Invalid."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is None:
            raise ValueError
        microseconds = (found["fraction"] or "0")[:6].ljust(6, "0")
        moment = datetime.fromisoformat(f"{found['moment']}.{microseconds}{found['zone'].upper()}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        allowed = "UTC, for example 2030-01-31T12:00:00Z, or with an offset such as +01:00"
        raise Invalid(field, f"{shown(value)} is not a time", allowed=allowed) from None


def _public_ip_address(fields: Fields) -> str | None:
    text = fields.text("publicIpAddress")
    if text is None:
        return None
    prefix = prefixes.canonical(text, fields.field("publicIpAddress"))
    if prefixes.text(prefix) == prefix:
        raise Invalid(fields.field("publicIpAddress"), f"{shown(text)} is not an address", allowed="one IP address")
    return text
