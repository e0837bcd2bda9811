"""What the agent tells the server, put where it belongs: machines, the record, and the scopes to look at again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from jitgate import audit
from jitgate.audit import Actor, Event, Operation, Outcome
from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts.connector import NAME, HostsConnector
from jitgate.connectors.hosts.fleet import Fleet
from jitgate.connectors.hosts.messages import Attempts, Happened, HostFacts, Kind
from jitgate.core.errors import Unavailable
from jitgate.core.machine import SILENT_AFTER, Machine, OperatingSystem
from jitgate.service import gateways, hosts, machines
from jitgate.service.base import Service
from jitgate.service.gateways import Behind
from jitgate.store import activity, scopes
from jitgate.store.activity import Filter
from jitgate.store.attempts import Attempt
from jitgate.store.database import Tx

LOOK_EVERY_SECONDS = 30.0
"""An agent that says nothing answers at least this look: twice before it counts as silent."""
KEEP_HEARD_EVERY_SECONDS = 10.0
_RETRY_SECONDS = 1.0

_OPERATIONS = {
    Kind.REPAIRED: Operation.FIREWALL_REPAIR,
    Kind.RELEASED: Operation.FIREWALL_RELEASE,
    Kind.PROTECTED: Operation.FIREWALL_PROTECT,
    Kind.DOUBLED: Operation.HOST_DOUBLED,
}

_log = structlog.get_logger(__name__)


class HostEvents:
    """Takes over what hosts tell, those beside the server and those elsewhere.

    `connector` is set before the first event; `looked`: machines are listed. `replica`: the one that they tell
    it; None: there is no other.
    """

    connector: HostsConnector

    def __init__(self, service: Service, name: str = NAME, replica: str | None = None) -> None:
        self._service = service
        self._replica = replica
        self._name = name
        self._known: Sequence[Machine] | None = None
        self._is_first_agent = True
        self._is_heard: bool | None = None
        self.looked = asyncio.Event()

    async def happened(self, event: Happened) -> None:
        """Returns when it is safely on record."""
        await self._again_and_again(lambda: self._take_in(event))

    async def facts(self, scope: str, facts: HostFacts) -> None:
        """A host elsewhere tells of itself."""
        told = {"addresses": list(facts.addresses), **facts.facts}
        await self._again_and_again(lambda: hosts.report_facts(self._service, scope, told, facts.unsupported))

    async def behind(self, scope: str, told: Sequence[HostFacts]) -> None:
        """A gateway elsewhere tells of itself, and of the machines behind it."""
        if not told:
            return
        itself, *others = told
        place, behind = str(itself.facts.get("address", "")), [_behind(each) for each in others if each.addresses]
        await self._again_and_again(lambda: gateways.report_behind(self._service, scope, place, behind))

    async def attempts(self, attempts: Attempts) -> None:
        """A host tells whom it turned away."""

        def seen(machine: str) -> list[Attempt]:
            return [Attempt(machine, each.port, each.protocol, each.source, each.at) for each in attempts.refused]

        await hosts.report_attempts(self._service, attempts.scope, seen)

    async def look_regularly(self) -> None:
        """See, for ever, whether machines have changed: addresses, and namespaces that come and go."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self.take_over_machines()
            except (ConnectorError, Unavailable) as error:
                _log.warning("machines could not be looked at", error=error.message)

    async def keep_heard(self) -> None:
        """Keep, for ever, whether the agent is heard: what stands in its firewall is not known otherwise."""
        while True:
            is_heard = self.connector.silent_for <= SILENT_AFTER.total_seconds()
            if is_heard is not self._is_heard:
                try:
                    await machines.keep_heard(self._service, self._name, self._replica, is_heard=is_heard)
                    self._is_heard = is_heard
                except Unavailable as error:
                    _log.warning("whether the agent is heard could not be kept", error=error.message)
            await asyncio.sleep(KEEP_HEARD_EVERY_SECONDS)

    async def _take_in(self, event: Happened) -> None:
        match event.kind:
            case Kind.CONNECTED if event.scope:
                await self._service.store.write(lambda tx: scopes.make_home(tx, event.scope, self._replica))
            case Kind.CONNECTED:
                _log.info("the agent is connected")
                # The first one meets the sweep that every start begins with; two would take twice as long.
                is_first, self._is_first_agent = self._is_first_agent, False
                await self.take_over_machines()
                if not is_first:
                    await self._service.store.write(lambda tx: sweep_all(tx, self._name, self._replica))
            case Kind.ANSWERED:
                await self._service.store.write(lambda tx: scopes.wake(tx, event.scope))
            case _:
                _log.warning("a host changed by itself", scope=event.scope, kind=str(event.kind), detail=event.detail)
                await self._service.store.write(lambda tx: note(tx, event))

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, when the database answers again."""
        while True:
            try:
                await work()
                return
            except Unavailable as error:
                _log.error("the database does not answer; trying again", error=error.message)
                await asyncio.sleep(_RETRY_SECONDS)

    async def take_over_machines(self) -> None:
        """Keep what there is now. Raises ConnectorError, Unavailable."""
        found = await self.connector.discover()
        if found != self._known:
            await machines.take_over(self._service, found, self._name, self._replica)
        self._known = found
        self.looked.set()


async def keep_heard(service: Service, fleet: Fleet) -> None:
    """Keep, for ever, which hosts elsewhere polled when."""
    while True:
        await asyncio.sleep(KEEP_HEARD_EVERY_SECONDS)
        try:
            await hosts.keep_heard(service, fleet.heard())
        except Unavailable as error:
            _log.warning("when hosts were heard could not be kept", error=error.message)


def _behind(told: HostFacts) -> Behind:
    os = str(told.facts.get("os", ""))
    known = OperatingSystem(os) if os in list(OperatingSystem) else OperatingSystem.UNKNOWN
    return Behind(told.name, told.uuid, told.addresses[0], known)


def note(tx: Tx, event: Happened) -> None:
    """Put it on record, once, and have the whole scope compared with what it should hold."""
    if event.record and activity.newest(tx, Filter(correlation=event.record), most=1):
        return
    if event.kind in _OPERATIONS:
        audit.record(tx, [_event(event)])
    scopes.sweep_soon(tx, [event.scope])


def sweep_all(tx: Tx, name: str = NAME, replica: str | None = None) -> None:
    """A new agent holds what its predecessor left in the kernel; compare everything."""
    scopes.all_due(tx, [name], replica or "")
    for scope in scopes.due(tx, [name], 1_000_000, replica or ""):
        tx.wake(scope)


def _event(event: Happened) -> Event:
    return Event(
        _OPERATIONS[event.kind],
        Outcome.SUCCEEDED,
        event.scope,
        Actor(name=event.by) if event.by else audit.ITSELF,
        correlation=event.record,
        properties={"detail": event.detail, "at": event.at.isoformat(timespec="milliseconds"), "reason": event.why},
    )
