"""One of each: a machine, a policy that protects its SSH port, somebody who may ask, and an ask within the policy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jitgate.core import duration, prefixes, roles
from jitgate.core.access import Ask, Grant, MachineAsk, PortAsk, Span, State
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.duration import Duration
from jitgate.core.guardrail import Guardrail, Limits
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import Prefix
from jitgate.core.resource_id import PolicyId, machine_id, parse_machine_id
from jitgate.core.roles import Assignment, Principal, Role
from jitgate.core.selector import Selector

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1"
ALICE, BOB = Prefix("203.0.113.7/32"), Prefix("203.0.113.8/32")
OFFICE = Prefix("203.0.113.0/24")


def shown(value: object) -> str:
    """A test's name for a value that may be very long."""
    return ascii(value)[:40]


def length(text: str) -> Duration:
    return duration.parse(text, "duration")


def make_machine(name: str = "web-1", group: str = "rg1", **other: Any) -> Machine:
    values: dict[str, Any] = {
        "os": OperatingSystem.LINUX,
        "connector": "c",
        "provider": "host",
        "scope": f"host/{name}",
    }
    return Machine(uuid=f"uuid-{name}", id=machine_id(SUBSCRIPTION, group, name), name=name, **(values | other))


def make_rule(
    number: int = 22,
    protocol: Protocol = Protocol.ANY,
    sources: tuple[Prefix, ...] = prefixes.ANYWHERE,
    longest: str = "PT3H",
) -> PortRule:
    return PortRule(number, protocol, sources, tuple(sources), length(longest))


def make_policy(*rules: PortRule, name: str = "default", machine: str = "web-1", group: str = "rg1") -> Policy:
    part = MachinePolicy(parse_machine_id(machine_id(SUBSCRIPTION, group, machine), "id"), rules or (make_rule(),))
    return Policy(PolicyId(SUBSCRIPTION, group, "westeurope", name), (part,))


def make_principal(role: Role = roles.JIT_REQUESTER, scope: str = GROUP) -> Principal:
    return Principal("alice", "Alice", (Assignment(role, scope),))


def make_port(number: int = 22, **other: Any) -> PortAsk:
    values: dict[str, Any] = {"sources": (ALICE,), "span": Span(duration=length("PT1H"))}
    return PortAsk(number, **(values | other))


def make_ask(*ports: PortAsk, machine: str = "web-1", group: str = "rg1", **other: Any) -> Ask:
    wanted = parse_machine_id(machine_id(SUBSCRIPTION, group, machine), "id")
    return Ask((MachineAsk(wanted, ports or (make_port(),)),), **other)


def make_guardrail(name: str = "prod", selector: Selector | None = None, **limits: Any) -> Guardrail:
    return Guardrail(name, selector or Selector(), Limits(**limits))


def make_grant(state: State = State.OPENING, **other: Any) -> Grant:
    grant = Grant(
        uid="g1",
        request="r1",
        principal="alice",
        machine="uuid-web-1",
        scope="host/web-1",
        port=22,
        protocol=Protocol.TCP,
        sources=(ALICE,),
        session=SessionEnd.KEEP,
        state=state,
        asked_at=NOW,
        since=NOW,
        end=NOW + HOUR,
    )
    return replace(grant, **other)
