"""The hosts and gateways beside this server: their processes are started with it, and reached over sockets."""

from collections.abc import Coroutine, Mapping, Sequence

from jitgate.clock import Clock
from jitgate.connectors.gateway import connector as gateway
from jitgate.connectors.gateway.connector import Behind, GatewayConnector
from jitgate.connectors.hosts.connector import HostsConnector, Told
from jitgate.main.hosts import HostEvents
from jitgate.ops.supervisor import GATEWAY_LINK, LINK
from jitgate.service.base import Service


class Beside:
    """What the settings name, as connectors, and what these tell.

    `told`, `behind`  what the settings say of hosts, and of machines behind gateways, by name
    """

    def __init__(
        self,
        service: Service,
        clock: Clock,
        replica: str,
        told: Mapping[str, Told],
        behind: Mapping[str, Behind],
        *,
        has_gateways: bool,
    ) -> None:
        self._has_gateways = has_gateways
        place = (service.settings.subscription, service.settings.resource_group, clock)
        self._hosts, self._gateways = HostEvents(service, replica=replica), HostEvents(service, gateway.NAME, replica)
        hosts = self._hosts.connector = HostsConnector(*place, self._hosts, told)
        gateways = self._gateways.connector = GatewayConnector(*place, self._gateways, behind)
        self.connectors: Sequence[HostsConnector] = (hosts, gateways)
        self.events: Sequence[HostEvents] = (self._hosts, self._gateways)
        self.links: Mapping[bytes | None, HostsConnector] = {LINK: hosts, GATEWAY_LINK: gateways}

    def work(self) -> list[Coroutine[None, None, None]]:
        """What is to be done as long as the server lives."""
        return [
            self._hosts.look_regularly(),
            self._hosts.keep_heard(),
            self._look_at_gateways(),
            self._gateways.keep_heard(),
        ]

    async def close(self) -> None:
        """Hang up on both."""
        for connector in self.connectors:
            await connector.close()

    async def _look_at_gateways(self) -> None:
        """What stood behind gateways is gone, where there are none any more."""
        if self._has_gateways:
            await self._gateways.look_regularly()
        else:
            await self._gateways.take_over_machines()
