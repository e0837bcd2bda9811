"""A policy as a plain document, and back: the same text describes it in a file, in a body and in an answer."""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import Field

from jitgate.core import duration, policy, prefixes, resource_id
from jitgate.core.desired import Protocol
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.core.policy import MachinePolicy, Policy, PortRule, Selection
from jitgate.core.resource_id import PolicyId
from jitgate.core.selector import Selector
from jitgate.service import machines
from jitgate.service.base import Asker, Service
from jitgate.web.api.forms import MOST_TAGS, Form, Shown, Text
from jitgate.web.api.values import AnyMachine, OfProtocol, PortNumber, ResourceGroup, Subscription, Tags

ANY_SOURCE = "*"
LONGEST_BY_DEFAULT = "PT3H"


class PortRuleForm(Form):
    """A protected port, and what may be asked for."""

    number: PortNumber
    protocol: OfProtocol = Protocol.ANY
    sources: list[Text] = Field(
        default=[ANY_SOURCE],
        description="What a request may ask for: addresses, CIDR prefixes, or `*` for any.",
        min_length=1,
    )
    max_duration: Text = Field(default=LONGEST_BY_DEFAULT, description="The longest access, ISO 8601, `PT5M` to `P1D`.")


class MachinePolicyForm(Form):
    """The protected ports of one machine."""

    id: AnyMachine
    ports: list[PortRuleForm] = Field(
        max_length=policy.MOST_PORTS, description="Which of its ports are protected. Those that are not here are not."
    )
    public_ip_address: Text | None = Field(
        default=None, description="The public address of the firewall in front of it. Left out: there is none."
    )


class SelectionForm(Form):
    """Machines that the policy takes in by itself, also later ones: all below `scope`, with all of `tags`."""

    scope: Text = Field(
        examples=["/subscriptions/GUID/resourceGroups/prod"],
        description="The scope path that they are below. Whoever writes this needs the right to write all of them.",
    )
    tags: Mapping[Text, Text] = Field(default={}, max_length=MOST_TAGS, description=Tags)
    os: OperatingSystem | None = Field(default=None, description="The operating system that they have. Left out: any.")
    ports: list[PortRuleForm] = Field(
        max_length=policy.MOST_PORTS, min_length=1, description="Which ports of these machines are protected."
    )


class PolicyForm(Form):
    """What a policy says. What is left out of it, it no longer says."""

    machines: list[MachinePolicyForm] = Field(
        max_length=policy.MOST_MACHINES,
        description="The machines that it names. One that is left out loses its protection and its grants.",
    )
    select: list[SelectionForm] = Field(
        default=[], description="Machines that are taken in by what they are.", max_length=policy.MOST_SELECTIONS
    )


class ShownPolicy(Shown):
    """A policy. Its `machines` and its `select` can be put back as they are."""

    id: str = Field(description="The policy's id.")
    name: str = Field(description="The policy's name.")
    subscription: Subscription
    resource_group: ResourceGroup
    location: str = Field(
        description="The location that it is filed in, as a cloud names its region; `global` outside the clouds."
    )
    settled: bool = Field(description="Whether every machine in it is protected as it says.")
    machines: list[MachinePolicyForm] = Field(description="The machines that it names, with their protected ports.")
    select: list[SelectionForm] = Field(description="Machines that it takes in by what they are.")
    selected: list[str] = Field(description="The ids of the machines that were taken in by what they are.")


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
    selections = tuple(_selection(each, f"select[{at}]", longest) for at, each in enumerate(form.select))
    return Policy(id, tuple(parts), selections=selections)


def show(policy: Policy, *, settled: bool) -> ShownPolicy:
    """A policy as a document."""
    return ShownPolicy(
        id=policy.id.text,
        name=policy.id.name,
        subscription=policy.id.subscription,
        resource_group=policy.id.resource_group,
        location=policy.id.location,
        settled=settled,
        machines=[_show_machine(part) for part in policy.named],
        select=[_show_selection(selection) for selection in policy.selections],
        selected=[part.id.text for part in policy.machines if part.selected],
    )


def _show_selection(selection: Selection) -> SelectionForm:
    return SelectionForm(
        scope=selection.selector.scope,
        tags=selection.selector.tags,
        os=selection.os,
        ports=[_show_rule(rule) for rule in selection.ports],
    )


def _selection(form: SelectionForm, field: str, longest: timedelta) -> Selection:
    if not form.scope.startswith("/"):
        raise Invalid(f"{field}.scope", f"{form.scope!r} is no scope", allowed="a path such as /subscriptions/GUID")
    ports = tuple(_rule(port, f"{field}.ports[{at}]", longest) for at, port in enumerate(form.ports))
    policy.check_ports(ports, f"{field}.ports")
    return Selection(Selector(form.scope, dict(form.tags)), ports, form.os)


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
