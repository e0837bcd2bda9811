"""What a client of the native API asks for, and how that becomes an ask."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from jitgate.core import duration, policy, prefixes, resource_id
from jitgate.core.access import (
    LONGEST_JUSTIFICATION,
    MOST_GRANTS,
    MOST_SOURCES,
    Ask,
    MachineAsk,
    PortAsk,
    Span,
    check_ask,
)
from jitgate.core.desired import Protocol
from jitgate.core.errors import Invalid
from jitgate.core.machine import Machine
from jitgate.core.prefixes import Prefix
from jitgate.service import machines
from jitgate.service.base import Asker, Service
from jitgate.web.api.forms import Form, Text, utc
from jitgate.web.api.values import AnyMachine, PortNumber

SOURCES = (
    "Where access is for: addresses, CIDR prefixes, or `*` for any. Left out: the address that the call comes from."
)


class SpanForm(Form):
    """How long: `duration` counted from opening, or until `endTimeUtc`. One of them."""

    duration: Text | None = Field(
        default=None, examples=["PT2H"], description="How long, ISO 8601, counted from opening. Not with `endTimeUtc`."
    )
    end_time_utc: AwareDatetime | None = Field(
        default=None,
        examples=["2030-01-01T12:00:00Z"],
        description="When it shall end, with its zone. It does not move while the request waits. Not with `duration`.",
    )


class PortForm(SpanForm):
    """One port that is asked for."""

    number: PortNumber
    protocol: Protocol | None = Field(
        default=None, description="`TCP`, `UDP`, or `*` for both. Left out: whatever the policy has for this number."
    )
    sources: list[Text] | None = Field(
        None,
        examples=[["203.0.113.7"]],
        description=SOURCES,
        max_length=MOST_SOURCES,
    )


class MachineForm(Form):
    """The ports that are asked for on one machine."""

    id: AnyMachine
    ports: list[PortForm] = Field(max_length=policy.MOST_PORTS, description="The ports to open on it.")


class AskForm(Form):
    """What is asked for. All of it is granted, or nothing is.

    A port without `duration` and `endTimeUtc` is asked for as long as the policy allows.
    """

    machines: list[MachineForm] = Field(max_length=MOST_GRANTS, description="The machines to open ports on.")
    justification: Text = Field(
        default="",
        examples=["INC-7"],
        max_length=LONGEST_JUSTIFICATION,
        description="Why. Some guardrails demand it, or a form of it. Left out: nothing is said.",
    )
    start_time_utc: AwareDatetime | None = Field(default=None, description="When access shall begin. Left out: now.")
    break_glass: bool = Field(
        default=False,
        description="In an emergency: at once, without approval, for an hour at most; reviewed afterwards.",
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """An ask, and the machines that it names, by their UUID."""

    ask: Ask
    machines: Mapping[str, Machine]


async def read(service: Service, asker: Asker, form: AskForm) -> Asked:
    """An ask out of a body. Raises Invalid, and NotFound for a machine that nobody knows."""
    found: dict[str, Machine] = {}
    asks: list[MachineAsk] = []
    for index, wanted in enumerate(form.machines):
        field = f"machines[{index}]"
        machine = await machines.machine_to_ask_for(service, asker, wanted.id)
        found[machine.uuid] = machine
        ports = tuple(_port(port, f"{field}.ports[{at}]", asker.address) for at, port in enumerate(wanted.ports))
        asks.append(MachineAsk(resource_id.parse_machine_id(machine.id, f"{field}.id"), ports, field))
    start = None if form.start_time_utc is None else utc(form.start_time_utc, "startTimeUtc")
    return Asked(check_ask(Ask(tuple(asks), form.justification, asker.address, start, form.break_glass)), found)


def span(form: SpanForm, field: str) -> Span | None:
    """What was said about the end; None: nothing. Raises Invalid if it was said twice."""
    if form.duration is not None and form.end_time_utc is not None:
        raise Invalid(_under(field, "duration"), "both duration and endTimeUtc are given", allowed="one of the two")
    if form.duration is not None:
        return Span(duration=duration.parse(form.duration, _under(field, "duration")))
    if form.end_time_utc is not None:
        return Span(end=utc(form.end_time_utc, _under(field, "endTimeUtc")))
    return None


def needed_span(form: SpanForm) -> Span:
    """The same where an end must be given. Raises Invalid."""
    found = span(form, "")
    if found is None:
        raise Invalid("duration", "no new end is given", allowed="duration, which counts from now, or endTimeUtc")
    return found


def sources(given: list[str] | None, field: str, caller: Prefix | None) -> tuple[Prefix, ...]:
    """The sources that were given, or the caller's address if none were. Raises Invalid."""
    if given is not None:
        return prefixes.parse_all(given, field)
    if caller is None:
        raise Invalid(field, "no source is given, and this call does not show its own", allowed="at least one")
    return (caller,)


def _port(form: PortForm, field: str, caller: Prefix | None) -> PortAsk:
    return PortAsk(
        number=policy.check_number(form.number, f"{field}.number"),
        sources=sources(form.sources, f"{field}.sources", caller),
        span=span(form, field),
        protocol=form.protocol,
        source_texts=None if form.sources is None else tuple(form.sources),
        field=field,
    )


def _under(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
