"""Connectors: adding a cloud account, testing what it may, seeing how it fares, removing it.

The cloud itself is never called here. A test is asked for by a row; who owns connectors (`jitgate.main.clouds`) makes
it, and writes what it found into the row.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jitgate import audit
from jitgate.audit import Event, Operation, Outcome
from jitgate.core import resource_id, roles
from jitgate.core.errors import Conflict, Invalid, NotFound
from jitgate.core.machine import FLEET, Machine
from jitgate.core.resource_id import subscription_scope
from jitgate.service import machines as machine_cases
from jitgate.service.attempt import attempt, event, require
from jitgate.service.base import Asker, Service, reach_none
from jitgate.store import alterations, connectors, duty, grants, machines, policies, scopes
from jitgate.store.connectors import Connector
from jitgate.store.database import Tx

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_TAKEN = frozenset({"hosts", "gateway", FLEET, "memory"})
"""The names of what is there without being added."""
_NAMED = 10
"""So many machines are named at the most in a refusal."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A connector as somebody wants it."""

    name: str
    kind: str
    subscription: str
    resource_group: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector, and how many machines it has found."""

    connector: Connector
    machines: int = 0


async def list_connectors(service: Service, asker: Asker) -> tuple[ConnectorView, ...]:
    """The connectors that the asker may read, by name."""

    def work(tx: Tx) -> tuple[ConnectorView, ...]:
        counts = connectors.machines_of(tx)
        found = [each for each in connectors.list_all(tx) if _may(asker, roles.READ_CONNECTOR, each)]
        return tuple(ConnectorView(each, counts.get(each.name, 0)) for each in found)

    return await service.store.read(work)


async def get_connector(service: Service, asker: Asker, name: str) -> ConnectorView:
    """One connector. Raises Forbidden, NotFound."""

    def work(tx: Tx) -> ConnectorView:
        found = _known(tx, asker, name, roles.READ_CONNECTOR)
        return ConnectorView(found, connectors.machines_of(tx).get(found.name, 0))

    return await service.store.read(work)


async def put_connector(service: Service, asker: Asker, draft: Draft) -> ConnectorView:
    """Add a connector, or give one other settings. It is begun within seconds, without a restart.

    It acts with the server's own credentials, and its settings say to whom these are shown, and which of the server's
    files are read. So it takes the right to it everywhere, not only where its machines are filed.

    Raises Forbidden, Invalid, Conflict for one of that name that is of another kind, or filed elsewhere, where another
    connector looks after a subscription of it, or an account, and where a subscription, account or region is left out
    in which something is held still.
    """
    where = _place(resource_id.check_subscription(draft.subscription, "subscription"))
    resource_id.check_resource_group(draft.resource_group, "resourceGroup")

    def work(tx: Tx) -> ConnectorView:
        require(asker, roles.WRITE_CONNECTOR, "/")
        wanted = _checked(service, draft)
        _check_apart(service, tx, wanted)
        known = connectors.get(tx, wanted.name)
        if known is None:
            _add(tx, wanted)
        else:
            _change(service, tx, known, wanted)
        facts = {"connector": wanted.name, "kind": wanted.kind, "settings": dict(wanted.settings)}
        audit.record(tx, [event(asker, Operation.CONNECTOR_WRITE, Outcome.SUCCEEDED, where, facts)])
        return _view(tx, wanted.name)

    return await attempt(service, asker, Operation.CONNECTOR_WRITE, where, work)


async def ask_for_test(service: Service, asker: Asker, name: str) -> ConnectorView:
    """Have a connector's permissions tested. Its `tested_at` tells when that is done. Raises Forbidden, NotFound."""

    def work(tx: Tx) -> ConnectorView:
        found = _known(tx, asker, name, roles.WRITE_CONNECTOR)
        connectors.ask_for_test(tx, found.name)
        facts = {"connector": found.name}
        audit.record(tx, [event(asker, Operation.CONNECTOR_TEST, Outcome.SUCCEEDED, _place(found.subscription), facts)])
        return _view(tx, found.name)

    return await attempt(service, asker, Operation.CONNECTOR_TEST, _resource(name), work)


async def remove_connector(service: Service, asker: Asker, name: str) -> ConnectorView:
    """Remove a connector: its grants end, its machines go, and what it made in firewalls is taken away.

    It is listed as being removed until its firewalls were seen to be let go of. Raises Forbidden, NotFound.
    """

    def work(tx: Tx) -> ConnectorView:
        found = _known(tx, asker, name, roles.WRITE_CONNECTOR)
        for each in _reach(found):
            require(asker, roles.WRITE_CONNECTOR, _place(each))
        if found.removed_at is None:
            connectors.begin_removal(tx, found.name)
        gone = machines.of_connector(tx, found.name)
        machine_cases.remove(tx, gone)
        scopes.sweep_all_of(tx, found.name)
        facts = {"connector": found.name, "machines": len(gone)}
        audit.record(
            tx, [event(asker, Operation.CONNECTOR_DELETE, Outcome.SUCCEEDED, _place(found.subscription), facts)]
        )
        return _view(tx, found.name)

    return await attempt(service, asker, Operation.CONNECTOR_DELETE, _resource(name), work)


# --- for who owns connectors ----------------------------------------------------------------------------


async def note_test(service: Service, name: str, missing: tuple[str, ...], error: str) -> None:
    """Keep what a test has found."""
    await service.store.write(lambda tx: connectors.record_test(tx, name, missing, error))


async def take_over(service: Service, name: str, revision: int, owner: str, found: Sequence[Machine] | None) -> bool:
    """Take over the machines that a connector has found; None: they are as they were.

    False, and nothing is changed: it was removed meanwhile, has other settings than those that it looked by, or is
    another process's duty now. That they can be listed again after failures is put on record.
    """

    def work(tx: Tx) -> bool:
        known = connectors.get(tx, name)
        if known is None or known.removed_at is not None or known.revision != revision:
            return False
        if not duty.has(tx, connectors.duty_of(name), owner):
            return False
        if found is not None:
            machine_cases.take_in(tx, found, name)
        connectors.record_discovery(tx, name)
        if known.failed_at is not None:
            audit.record(tx, [_happened(known, Operation.CONNECTOR_RECOVERED, Outcome.SUCCEEDED, {})])
        return True

    return await service.store.write(work)


async def note_failure(service: Service, name: str, error: str) -> None:
    """Keep why machines could not be listed; the first failure of several is put on record."""

    def work(tx: Tx) -> None:
        known = connectors.get(tx, name)
        connectors.record_failure(tx, name, error)
        if known is not None and known.failed_at is None:
            audit.record(tx, [_happened(known, Operation.CONNECTOR_FAILED, Outcome.FAILED, {"error": error})])

    await service.store.write(work)


async def forget_if_let_go(service: Service, name: str) -> bool:
    """Forget a removed connector, once each of its firewalls was seen to be as others made it."""

    def work(tx: Tx) -> bool:
        known = connectors.get(tx, name)
        if known is None or known.removed_at is None or not connectors.is_let_go(tx, name):
            return False
        if alterations.is_anything_altered(tx, name):
            return False
        connectors.forget(tx, name)
        audit.record(tx, [_happened(known, Operation.CONNECTOR_RELEASED, Outcome.SUCCEEDED, {})])
        return True

    return await service.store.write(work)


# --- below ----------------------------------------------------------------------------------------------


def _checked(service: Service, draft: Draft) -> Draft:
    """The draft with its settings as its kind takes them. Raises Invalid."""
    if not _NAME.fullmatch(draft.name) or draft.name in _TAKEN:
        allowed = f"1 to 40 of a-z, 0-9 and -, beginning with a letter; none of {', '.join(sorted(_TAKEN))}"
        raise Invalid("connector", f"{draft.name[:60]!r} cannot name a connector", allowed=allowed)
    check = service.connector_kinds.get(draft.kind)
    if check is None:
        known = ", ".join(sorted(service.connector_kinds)) or "none in this installation"
        raise Invalid("kind", f"{draft.kind[:60]!r} is no kind of connector", allowed=known)
    settings = check(draft.settings)
    return Draft(draft.name, draft.kind, draft.subscription, draft.resource_group, settings)


def _check_apart(service: Service, tx: Tx, wanted: Draft) -> None:
    """Raise Conflict where another connector would find the same machines: two would write to one firewall."""
    accounts = service.connector_reach.get(wanted.kind, reach_none)
    mine = _reach(wanted) | accounts(wanted.settings)
    for other in connectors.list_all(tx):
        if other.kind != wanted.kind or other.name == wanted.name:
            continue
        if both := mine & (_reach(other) | accounts(other.settings)):
            raise Conflict(f"The connector {other.name} looks after {', '.join(sorted(both))} already.")


def _reach(of: Draft | Connector) -> frozenset[str]:
    """The subscriptions that a connector looks after: its own, and those that its settings name besides."""
    named = of.settings.get("subscriptions", ())
    # Of a kind that another package brings it may be anything.
    more = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
    return frozenset(map(resource_id.key, (of.subscription, *more)))


def _add(tx: Tx, wanted: Draft) -> None:
    new = Connector(
        wanted.name, wanted.kind, wanted.subscription, wanted.resource_group, wanted.settings, 1, created_at=tx.now
    )
    connectors.add(tx, new)


def _change(service: Service, tx: Tx, known: Connector, wanted: Draft) -> None:
    if known.removed_at is not None:
        raise Conflict(f"{known.name} is being removed. Add it again when `jitgate connector ls` lists it no more.")
    was = known.kind, resource_id.key(known.subscription), resource_id.key(known.resource_group)
    if was != (wanted.kind, resource_id.key(wanted.subscription), resource_id.key(wanted.resource_group)):
        raise Conflict(
            f"{known.name} is of kind {known.kind} and filed under {known.subscription}/{known.resource_group}. "
            "Remove it first, or choose another name."
        )
    _leave_what_is_dropped(service, tx, known, wanted)
    connectors.change(tx, known.name, wanted.settings)


def _leave_what_is_dropped(service: Service, tx: Tx, known: Connector, wanted: Draft) -> None:
    """Forget the machines and firewalls in what the settings name no more. Raises Conflict while anything is held
    there: afterwards nobody would take it away."""
    dropped = list(_dropped(service, tx, known, wanted))
    if held := [scope for scope in dropped if _is_held(tx, scope)]:
        named = [machine.name for scope in held for machine in machines.in_scope(tx, scope)] or held
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        raise Conflict(
            f"{known.name} still holds firewalls where these settings do not lead any more: {', '.join(named[:_NAMED])}"
            f"{more}. Take these machines out of their policies (`jitgate disable`), wait until their grants are "
            "closed and `jitgate machine show` says that nothing is protected, then change the settings."
        )
    machine_cases.remove(tx, [machine for scope in dropped for machine in machines.in_scope(tx, scope)])
    scopes.forget(tx, dropped)


def _dropped(service: Service, tx: Tx, known: Connector, wanted: Draft) -> Iterator[str]:
    """The scopes of a connector that other settings do not lead to."""
    accounts = service.connector_reach.get(wanted.kind, reach_none)
    after = _reach(wanted) | accounts(wanted.settings)
    left = (_reach(known) | accounts(known.settings)) - after
    for scope in scopes.of_connector(tx, known.name) if left else ():
        places = _places(service, tx, known.kind, scope)
        if places & left and not places & after:
            yield scope


def _places(service: Service, tx: Tx, kind: str, scope: str) -> frozenset[str]:
    if (places := service.connector_places.get(kind)) is not None:
        return places(scope)
    ids = (resource_id.parse_machine_id(machine.id, "machine") for machine in machines.in_scope(tx, scope))
    return frozenset(resource_id.key(each.subscription) for each in ids)


def _is_held(tx: Tx, scope: str) -> bool:
    """Whether anything of ours stands in a firewall, is to stand there, or is to be put back."""
    present = machines.in_scope(tx, scope)
    if policies.ids_covering(tx, [machine.key for machine in present]):
        return True
    if grants.changed(tx, scope, 1) or grants.next_due(tx, scope) is not None:
        return True
    if any(grants.live_on(tx, machine.uuid) for machine in present):
        return True
    if alterations.needed_by(tx, scope) or alterations.to_restore(tx, scope):
        return True
    state = scopes.get(tx, scope)
    # A firewall that does not answer is not waited for: its ports are shut.
    return state is not None and not state.error and bool(state.report.get("protected"))


def _known(tx: Tx, asker: Asker, name: str, action: str) -> Connector:
    """A connector that the asker may do something with. Who may not is not told whether there is one."""
    found = connectors.get(tx, name.strip().lower())
    if found is None or not _may(asker, roles.READ_CONNECTOR, found):
        require(asker, action, "/")
        raise NotFound(f"There is no connector {name[:60]!r}. List them: jitgate connector ls")
    require(asker, action, _place(found.subscription))
    return found


def _view(tx: Tx, name: str) -> ConnectorView:
    found = connectors.get(tx, name)
    assert found is not None
    return ConnectorView(found, connectors.machines_of(tx).get(name, 0))


def _may(asker: Asker, action: str, one: Connector) -> bool:
    return asker.principal.may(action, _place(one.subscription))


def _place(subscription: str) -> str:
    return subscription_scope(subscription)


def _resource(name: str) -> str:
    """What a change is recorded about when it is refused before it is known which connector is meant."""
    return f"/connectors/{name[:60]}"


def _happened(one: Connector, operation: Operation, outcome: Outcome, facts: Mapping[str, Any]) -> Event:
    return Event(operation, outcome, _place(one.subscription), properties={"connector": one.name, **facts})
