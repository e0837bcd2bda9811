"""What stands around machines in Azure's model: subscriptions, resource groups, locations. Worked out from machines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jitgate.core import roles
from jitgate.core.errors import NotFound
from jitgate.core.machine import Machine
from jitgate.core.resource_id import covers, key, parse_machine_id, subscription_scope
from jitgate.service.base import Asker, Service
from jitgate.service.views import Page
from jitgate.store import machines
from jitgate.store.database import Tx

MOST_PLACES = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """A resource group: in the spelling of the first machine in it."""

    subscription: str
    name: str
    location: str

    @property
    def id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"


async def list_subscriptions(service: Service, asker: Asker) -> tuple[str, ...]:
    """The subscriptions in which the asker holds any role, this installation's first."""
    own = service.settings.subscription

    def work(tx: Tx) -> tuple[str, ...]:
        others = [each for each in _subscriptions(tx) if key(each) != key(own)]
        return tuple(each for each in [own, *others] if _is_known_to(asker, each))

    return await service.store.read(work)


async def get_subscription(service: Service, asker: Asker, subscription: str) -> str:
    """A subscription in which the asker holds any role, as it is written here. Raises NotFound."""
    for each in await list_subscriptions(service, asker):
        if key(each) == key(subscription):
            return each
    raise NotFound(f"The subscription {subscription!r} could not be found.", code="SubscriptionNotFound")


async def list_groups(service: Service, asker: Asker, subscription: str) -> tuple[Group, ...]:
    """The resource groups of a subscription that the asker may read. Raises NotFound."""
    at = await get_subscription(service, asker, subscription)
    found = await service.store.read(lambda tx: tuple(_groups(tx, at)))
    own = Group(service.settings.subscription, service.settings.resource_group, "global")
    if key(at) == key(own.subscription) and key(own.name) not in {key(group.name) for group in found}:
        found = (own, *found)
    return tuple(group for group in found if asker.principal.may(roles.READ_RESOURCE_GROUP, group.id))


async def get_group(service: Service, asker: Asker, subscription: str, name: str) -> Group:
    """A resource group that the asker may read. Raises NotFound."""
    for group in await list_groups(service, asker, subscription):
        if key(group.name) == key(name):
            return group
    raise NotFound(f"Resource group {name!r} could not be found.", code="ResourceGroupNotFound")


async def list_locations(service: Service, asker: Asker, subscription: str) -> tuple[str, ...]:
    """Where there are machines. Raises NotFound."""
    await get_subscription(service, asker, subscription)
    return tuple(await service.store.read(machines.locations)) or ("global",)


async def list_machines(
    service: Service, asker: Asker, scope: str, *, limit: int = 200, after: str | None = None
) -> Page[Machine]:
    """The machines below a scope path that the asker may read, by the key of their id."""
    below = f"{key(scope).rstrip('/')}/"

    def work(tx: Tx) -> Page[Machine]:
        shown: list[Machine] = []
        for machine in _walk(tx, below, after or below):
            if asker.principal.may(roles.READ_MACHINE, machine.id):
                shown.append(machine)
            if len(shown) > limit:
                return Page(tuple(shown[:limit]), shown[limit - 1].key)
        return Page(tuple(shown))

    return await service.store.read(work)


async def get_machine(service: Service, asker: Asker, id: str) -> Machine:
    """A machine by its id. Raises NotFound, also for one that the asker may not read."""
    found = await service.store.read(lambda tx: machines.by_keys(tx, [key(id)]))
    machine = found.get(key(id))
    if machine is None or not asker.principal.may(roles.READ_MACHINE, machine.id):
        raise NotFound(f"The resource {id[:300]!r} was not found.")
    return machine


def _is_known_to(asker: Asker, subscription: str) -> bool:
    here, limit = subscription_scope(subscription), asker.principal.limit
    held = [a.scope for a in asker.principal.assignments]
    return _touches(held, here) and (limit is None or _touches([limit.scope], here))


def _touches(scopes: Sequence[str], here: str) -> bool:
    return any(covers(scope, here) or covers(here, scope) for scope in scopes)


def _walk(tx: Tx, below: str, after: str) -> Iterator[Machine]:
    """Machines whose key begins so, in order, after one of them."""
    last = after
    while page := machines.list_present(tx, after=last, most=500):
        for machine in page:
            if not machine.key.startswith(below):
                return
            yield machine
        last = page[-1].key


def _first_of_each(tx: Tx, below: str, parts: int) -> Iterator[Machine]:
    """One machine for each beginning of so many parts, by leaps instead of a look at all of them."""
    last = below
    for _ in range(MOST_PLACES):
        found = machines.list_present(tx, after=last, most=1)
        if not found or not found[0].key.startswith(below):
            return
        yield found[0]
        # "0" follows "/": all that begins alike is behind this.
        last = "/".join(found[0].key.split("/")[: parts + 1]) + "0"


def _subscriptions(tx: Tx) -> Iterator[str]:
    for machine in _first_of_each(tx, "/subscriptions/", 2):
        yield parse_machine_id(machine.id, "id").subscription


def _groups(tx: Tx, subscription: str) -> Iterator[Group]:
    for machine in _first_of_each(tx, subscription_scope(subscription) + "/", 4):
        at = parse_machine_id(machine.id, "id")
        yield Group(subscription, at.resource_group, machine.location)
