"""A policy as a plain document, and back: the same text describes it in a file, in a body and in an answer."""

from datetime import timedelta

from pydantic import Field

from jitgate.core import duration, policy, prefixes, resource_id
from jitgate.core.desired import Protocol
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.resource_id import PolicyId
from jitgate.service import machines
from jitgate.service.base import Asker, Service
from jitgate.web.api.forms import Form, Shown, Text

ANY_SOURCE = "*"
LONGEST_BY_DEFAULT = "PT3H"


class PortRuleForm(Form):
    """A protected port, and what may be asked for."""

    number: int = Field(examples=[22])
    protocol: Protocol = Field(default=Protocol.ANY, description="TCP, UDP, or * for both.")
    sources: list[Text] = Field(
        default=[ANY_SOURCE], description="What a request may ask for: addresses, prefixes, or * for any.", min_length=1
    )
    max_duration: Text = Field(default=LONGEST_BY_DEFAULT, description="The longest access, ISO 8601.")


class MachinePolicyForm(Form):
    """The protected ports of one machine."""

    id: Text = Field(examples=["web-1"], description="The machine's id, or any unique short name.")
    ports: list[PortRuleForm] = Field(max_length=policy.MOST_PORTS)
    public_ip_address: Text | None = Field(default=None, description="Of the cloud firewall in front of it, if any.")


class PolicyForm(Form):
    """What a policy says. What is left out of it, it no longer says."""

    machines: list[MachinePolicyForm] = Field(max_length=policy.MOST_MACHINES)


class ShownPolicy(Shown):
    """A policy. Its `machines` can be put back as they are."""

    id: str
    name: str
    subscription: str
    resource_group: str
    location: str
    settled: bool = Field(description="Whether every machine in it is protected as it says.")
    machines: list[MachinePolicyForm]


async def read(service: Service, asker: Asker, id: PolicyId, form: PolicyForm) -> Policy:
    """A policy out of a document. Raises Invalid, and NotFound for a machine that nobody knows."""
    longest = service.settings.longest_access
    parts: list[MachinePolicy] = []
    for index, part in enumerate(form.machines):
        field = f"machines[{index}]"
        machine = await machines.resolve_machine(service, asker, part.id)
        ports = tuple(_rule(port, f"{field}.ports[{at}]", longest) for at, port in enumerate(part.ports))
        policy.check_ports(ports, f"{field}.ports")
        parts.append(
            MachinePolicy(resource_id.parse_machine_id(machine.id, f"{field}.id"), ports, part.public_ip_address)
        )
    policy.check_machines(parts, "machines")
    return Policy(id, tuple(parts))


def show(policy: Policy, *, settled: bool) -> ShownPolicy:
    """A policy as a document."""
    return ShownPolicy(
        id=policy.id.text,
        name=policy.id.name,
        subscription=policy.id.subscription,
        resource_group=policy.id.resource_group,
        location=policy.id.location,
        settled=settled,
        machines=[_show_machine(part) for part in policy.machines],
    )


def _show_machine(part: MachinePolicy) -> MachinePolicyForm:
    return MachinePolicyForm(
        id=part.id.text, ports=[_show_rule(rule) for rule in part.ports], public_ip_address=part.public_ip_address
    )


def _show_rule(rule: PortRule) -> PortRuleForm:
    written = rule.source_texts
    return PortRuleForm(
        number=rule.number,
        protocol=rule.protocol,
        sources=[written] if isinstance(written, str) else list(written),
        max_duration=rule.max_duration.text,
    )


def _rule(form: PortRuleForm, field: str, longest: timedelta) -> PortRule:
    length = duration.parse(form.max_duration, f"{field}.maxDuration")
    return PortRule(
        number=policy.check_number(form.number, f"{field}.number"),
        protocol=form.protocol,
        sources=prefixes.parse_all(form.sources, f"{field}.sources"),
        # The contract's clients expect the single form where there is one source.
        source_texts=form.sources[0] if len(form.sources) == 1 else tuple(form.sources),
        max_duration=policy.check_max_duration(length, f"{field}.maxDuration", longest),
    )
