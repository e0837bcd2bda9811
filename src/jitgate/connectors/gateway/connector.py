"""The server's end: the machines behind gateways, as a connector. Gateways speak as hosts' agents do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jitgate.clock import Clock
from jitgate.connectors.base import Done, Outcome, Plan, Report
from jitgate.connectors.gateway.gateway import CAPABILITIES
from jitgate.connectors.hosts.connector import HostsConnector, Listener
from jitgate.connectors.hosts.messages import HostFacts
from jitgate.core.desired import Desired
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.resource_id import key, machine_id

NAME = "gateway"


@dataclass(frozen=True, slots=True)
class Behind:
    """What the settings say of a machine behind a gateway. `scope`: that gateway."""

    scope: str
    os: OperatingSystem = OperatingSystem.UNKNOWN
    tags: Mapping[str, str] = field(default_factory=dict)


class GatewayConnector(HostsConnector):
    """Machines behind gateways, by their name in the settings: who is covered is never decided by what is reported."""

    name = NAME

    def __init__(
        self, subscription: str, resource_group: str, clock: Clock, listener: Listener, behind: Mapping[str, Behind]
    ) -> None:
        super().__init__(subscription, resource_group, clock, listener)
        self._behind = {key(name): each for name, each in behind.items()}
        self._scopes = {each.scope for each in self._behind.values()}

    async def discover(self) -> Sequence[Machine]:
        """The machines. Raises ConnectorError when the gateways' process is not there."""
        return await super().discover() if self._behind else ()

    async def apply(self, plan: Plan) -> Outcome:
        """Have the gateway make it stand. Raises ConnectorError, GenerationBehind."""
        if plan.scope not in self._scopes:
            return Done(_nothing_stands(plan.desired))
        return await super().apply(plan)

    def _machine(self, host: HostFacts) -> Machine:
        told = self._behind.get(key(host.name)) or Behind(f"{NAME}/{host.facts.get('gateway', '')}")
        known = key(host.name) in self._behind
        return Machine(
            uuid=host.uuid,
            id=machine_id(self._subscription, self._resource_group, host.name),
            name=host.name,
            os=told.os,
            connector=self.name,
            provider=NAME,
            scope=told.scope,
            addresses=host.addresses,
            tags=told.tags,
            unsupported="" if known else "it is not in jitgate.toml any more",
            facts=host.facts,
        )


def _nothing_stands(desired: Desired) -> Report:
    """A gateway that is not in the settings any more listens nowhere."""
    why = "the gateway is not in jitgate.toml any more"
    return Report(
        scope=desired.scope,
        generation=desired.generation,
        standing={},
        shut=frozenset(desired.access),
        protected=dict.fromkeys(desired.protected, why),
        capabilities=CAPABILITIES,
        refused={key: why for key, end in desired.access.items() if end is not None},
        complete=desired.complete,
    )
