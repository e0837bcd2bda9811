"""Machines, as their connectors told them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, func, insert, or_, select, update

from jitgate.core import catalogue, resource_id
from jitgate.core.access import State
from jitgate.core.machine import Machine, OperatingSystem
from jitgate.store import classification, exposures
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import grant_key, grants, machine, scope_state

_FEW = 8
"""Machines that are found sooner by a prepared statement for each than by one for all."""
_AT_A_TIME = 10_000
"""Values in a statement: SQLite takes 32,766, PostgreSQL 65,535."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a discovery changed, as UUIDs. `removed`: another machine stands under their id now."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def put(tx: Tx, found: Sequence[Machine]) -> Change:
    """Keep what was discovered.

    A machine is known by its UUID: it may be renamed, and come back after it was gone. Where a UUID is new
    under an id that is in use, the machine was made again: the old one is removed, with all that was its.
    """
    if not found:
        return Change((), ())
    uuids = [one.uuid for one in found]
    removed = _remove_replaced(tx, found)
    known = {row.uuid for row in _each(tx, _uuids, uuids)}
    _write(tx, _update, [_values(tx, one) for one in found if one.uuid in known])
    _write(tx, _insert, [_values(tx, one) for one in found if one.uuid not in known])
    classification.classify(tx, uuids)
    return Change(tuple(uuid for uuid in uuids if uuid not in known), tuple(removed))


def remove_missing(tx: Tx, connector: str, found: Collection[str], home: str | None = None) -> list[str]:
    """Mark as removed what a connector told earlier and does not tell any more; returns these UUIDs.

    `home`: of a replica that tells only of machines beside it; those beside others are left alone.
    """
    present = tx.execute(_present_of, {"connector": connector})
    gone = [row.uuid for row in present if row.uuid not in found and row.home in (None, home)]
    remove(tx, gone)
    return gone


def remove(tx: Tx, uuids: Sequence[str]) -> None:
    """Mark machines as removed."""
    _write(tx, _remove, [{"b_uuid": uuid, "b_removed_at": tx.now} for uuid in uuids])


def get_many(tx: Tx, uuids: Iterable[str]) -> dict[str, Machine]:
    """Machines by UUID, removed ones too."""
    return {row.uuid: from_row(row) for row in _each(tx, _by_uuid, uuids)}


def present(tx: Tx, uuids: Iterable[str]) -> dict[str, Machine]:
    """Machines by UUID, without those that were removed."""
    return {row.uuid: from_row(row) for row in _each(tx, _present, uuids)}


def ids(tx: Tx, uuids: Iterable[str]) -> dict[str, str]:
    """The ids of machines by UUID, removed ones too."""
    return {row.uuid: row.id for uuid in uuids for row in tx.fetch(_id_of, {"machine_uuid": uuid})}


def by_keys(tx: Tx, keys: Iterable[str]) -> dict[str, Machine]:
    """Present machines by the keys of their ids."""
    return ask_by_keys(tx, keys)()


def ask_by_keys(tx: Tx, keys: Iterable[str]) -> Callable[[], dict[str, Machine]]:
    """The same, asked ahead."""
    wanted = list(dict.fromkeys(keys))
    if len(wanted) > _FEW:
        many = list(_each(tx, _by_key, wanted))
        return lambda: {row.id_key: from_row(row) for row in many}
    asked = [tx.ask(_one_by_key, {"key": key}) for key in wanted]
    return lambda: {row.id_key: from_row(row) for rows in asked for row in rows()}


def find(tx: Tx, text: str) -> list[Machine]:
    """Present machines that somebody may mean by a text: an id, a UUID or a name. Several may share a name."""
    key = resource_id.key(text)
    looked_up = ((_one_by_key, {"key": key}), (_by_name, {"key": key}), (_one_present, {"uuid": text}))
    found = {row.uuid: row for statement, values in looked_up for row in tx.fetch(statement, values)}
    return [from_row(row) for row in sorted(found.values(), key=lambda row: str(row.id_key))]


def in_scope(tx: Tx, scope: str) -> list[Machine]:
    """Present machines behind a firewall."""
    return [from_row(row) for row in tx.fetch(_in_scope, {"scope_name": scope})]


def list_present(tx: Tx, *, connector: str | None = None, after: str = "", most: int = 1000) -> list[Machine]:
    """Present machines in the order of their keys, continuing after one of them."""
    statement = _list if connector is None else _list.where(machine.c.connector == connector)
    return [from_row(row) for row in tx.execute(statement, {"after": after, "most": most})]


def of_connector(tx: Tx, connector: str) -> list[Machine]:
    """All present machines of a connector."""
    return [from_row(row) for row in tx.execute(_of_connector, {"connector": connector})]


def locations(tx: Tx) -> list[str]:
    """Where there are machines now."""
    return list(tx.execute(_locations).scalars())


def standing(tx: Tx, at: datetime) -> list[Machine]:
    """Machines that were there at a moment, as they are told now."""
    return [from_row(row) for row in tx.execute(_standing, {"at": at})]


def open_grants(tx: Tx, uuids: Iterable[str]) -> dict[str, int]:
    """How many grants are open on each machine; those with none are left out."""
    return {row.machine: row.open for row in _each(tx, _open_grants, uuids)}


def _remove_replaced(tx: Tx, found: Sequence[Machine]) -> list[str]:
    owners = {one.key: one.uuid for one in found}
    uuids = set(owners.values())
    replaced = [row.uuid for row in _each(tx, _by_key, owners) if owners[row.id_key] != row.uuid]
    # Also those that come back under another id at once: until then they are out of each other's way.
    remove(tx, replaced)
    return [uuid for uuid in replaced if uuid not in uuids]


def _write(tx: Tx, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        tx.execute(statement, rows)


def _each(tx: Tx, statement: Any, values: Iterable[str]) -> Sequence[Row[Any]]:
    """The rows for some values; none for no value."""
    wanted = list(values)
    parts = [wanted[first : first + _AT_A_TIME] for first in range(0, len(wanted), _AT_A_TIME)]
    return [row for part in parts for row in tx.execute(statement, {"values": part})]


def _values(tx: Tx, one: Machine) -> dict[str, Any]:
    return {
        "b_uuid": one.uuid,
        "b_id": one.id,
        "b_id_key": one.key,
        "b_name": one.name,
        "b_name_key": resource_id.key(one.name),
        "b_os": str(one.os),
        "b_connector": one.connector,
        "b_provider": one.provider,
        "b_scope": one.scope,
        "b_location": one.location,
        "b_addresses": list(one.addresses),
        "b_tags": dict(one.tags),
        "b_unsupported": one.unsupported,
        "b_facts": dict(one.facts),
        "b_seen_at": tx.now,
        "b_removed_at": None,
        **{f"b_{name}": value for name, value in exposures.columns(one.exposure).items()},
        "b_words": catalogue.words(one),
    }


def from_row(row: Row[Any]) -> Machine:
    """The machine that a row of its table is."""
    return Machine(
        uuid=row.uuid,
        id=row.id,
        name=row.name,
        os=OperatingSystem(row.os),
        connector=row.connector,
        provider=row.provider,
        scope=row.scope,
        location=row.location,
        addresses=tuple(row.addresses),
        tags=row.tags,
        unsupported=row.unsupported,
        facts=row.facts,
        exposure=exposures.of_column(row.exposure),
    )


# What is told elsewhere (`store.classification`) stays as it is.
_told_elsewhere = ("standing", "accessed_at", "accessed_by")
_bound: dict[str, BindParameter[Any]] = {
    column.name: bindparam(f"b_{column.name}") for column in machine.columns if column.name not in _told_elsewhere
}
_insert = insert(machine).values(_bound)
_update = (
    update(machine)
    .where(machine.c.uuid == _bound["uuid"])
    .values({name: value for name, value in _bound.items() if name != "uuid"})
)
_remove = update(machine).where(machine.c.uuid == _bound["uuid"]).values(removed_at=_bound["removed_at"])
_some: BindParameter[str] = bindparam("values", expanding=True)
_is_present = machine.c.removed_at.is_(None)
_uuids = select(machine.c.uuid).where(machine.c.uuid.in_(_some))
_id_of = Prepared(select(machine.c.uuid, machine.c.id).where(machine.c.uuid == bindparam("machine_uuid")))
_by_uuid = select(machine).where(machine.c.uuid.in_(_some))
_present = _by_uuid.where(_is_present)
_by_key = select(machine).where(machine.c.id_key.in_(_some), _is_present)
_one_by_key = Prepared(select(machine).where(machine.c.id_key == bindparam("key"), _is_present))
_present_of = (
    select(machine.c.uuid, scope_state.c.home)
    .outerjoin(scope_state, scope_state.c.scope == machine.c.scope)
    .where(machine.c.connector == bindparam("connector"), _is_present)
)
_of_connector = select(machine).where(machine.c.connector == bindparam("connector"), _is_present)
_in_scope = Prepared(
    select(machine).where(machine.c.scope == bindparam("scope_name"), _is_present).order_by(machine.c.id_key)
)
# Each by its own index: for an OR of the three every machine would be looked at.
_by_name = Prepared(select(machine).where(machine.c.name_key == bindparam("key"), _is_present))
_one_present = Prepared(select(machine).where(machine.c.uuid == bindparam("uuid"), _is_present))
_locations = select(machine.c.location).where(machine.c.removed_at.is_(None)).distinct().order_by(machine.c.location)
_list = (
    select(machine)
    .where(machine.c.id_key > bindparam("after"), _is_present)
    .order_by(machine.c.id_key)
    .limit(bindparam("most"))
)
_open_grants = (
    select(grant_key.c.machine, func.count(grant_key.c.grant.distinct()).label("open"))
    .join(grants, grants.c.uid == grant_key.c.grant)
    .where(grant_key.c.machine.in_(_some), grants.c.state == str(State.OPEN))
    .group_by(grant_key.c.machine)
)
_standing = (
    select(machine)
    .where(or_(machine.c.removed_at.is_(None), machine.c.removed_at > bindparam("at")))
    .order_by(machine.c.id_key, machine.c.removed_at)
)
