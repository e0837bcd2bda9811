"""Many machines, and the policies that protect them, as a connector and the portal would have made them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from jitgate.core import duration
from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.policy import MachinePolicy, Policy, PortRule
from jitgate.core.prefixes import ANYWHERE
from jitgate.core.resource_id import PolicyId, machine_id, parse_machine_id
from jitgate.store import policies
from jitgate.store.database import Tx

_RULE = PortRule(22, Protocol.ANY, ANYWHERE, "*", duration.parse("PT3H", "longest"))
_EXPOSED = Exposure(22, Protocol.TCP, Reach.ANYONE, ("*",), ("allow-ssh",))


def machine(subscription: str, at: int, groups: int) -> Machine:
    """The machine of that number, in one of so many resource groups, behind a firewall of its own."""
    name = f"machine-{at:05}"
    return Machine(
        uuid=f"uuid-{at:05}",
        id=machine_id(subscription, f"group-{at % groups}", name),
        name=name,
        os=OperatingSystem.WINDOWS if at % 3 == 0 else OperatingSystem.LINUX,
        connector="memory",
        provider="memory",
        scope=f"bench/{at}",
        addresses=(f"10.{at // 250 // 250}.{at // 250 % 250}.{at % 250 + 1}",),
        tags={"env": "prod" if at % 4 == 0 else "test", "team": f"team-{at % 9}"},
        unsupported="classic VM" if at % 50 == 49 else "",
        exposure=(_EXPOSED, replace(_EXPOSED, port=3389, reach=Reach.INTERNAL)) if at % 2 else (),
    )


def configure(tx: Tx, members: Iterable[Machine]) -> None:
    """A policy for each resource group, as the portal makes them."""
    by_group: dict[str, list[Machine]] = {}
    for one in members:
        by_group.setdefault(one.id.split("/")[4], []).append(one)
    for group, some in by_group.items():
        place = PolicyId(some[0].id.split("/")[2], group, "global", "default")
        policies.put(tx, policy_of(some[0]), Policy(place, _parts(some)))


def policy_of(one: Machine) -> str:
    """The uid of the policy of a machine's resource group."""
    return f"policy-of-{one.id.split('/')[4]}"


def _parts(some: Sequence[Machine]) -> tuple[MachinePolicy, ...]:
    return tuple(MachinePolicy(parse_machine_id(one.id, "id"), (_RULE,)) for one in some)
