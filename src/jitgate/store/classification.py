"""How machines stand with just-in-time access, and their last use: kept in their rows by whoever changes it."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, false, func, or_, true, update

from jitgate.core.access import State
from jitgate.core.catalogue import Standing
from jitgate.core.progress import Move
from jitgate.core.resource_id import key
from jitgate.store.prepared import Prepared
from jitgate.store.schema import jit_disabled, machine, policy_machine
from jitgate.store.transaction import Tx

is_present = machine.c.removed_at.is_(None)


def classify(tx: Tx, uuids: Iterable[str]) -> None:
    """Work out anew how some machines stand."""
    tx.run(_classify, [{"of_uuid": uuid} for uuid in uuids])


def classify_keys(tx: Tx, keys: Iterable[str]) -> None:
    """The same, by the keys of their ids."""
    tx.run(_classify_key, [{"of_key": one} for one in keys])


def classify_below(tx: Tx, scope: str) -> None:
    """The same for all below a subscription or resource group."""
    tx.execute(update(machine).where(is_present, is_below([scope])).values(standing=_standing))


def remember_access(tx: Tx, moves: Iterable[Move]) -> None:
    """Keep for each machine when and for whom a port of it last opened."""
    last = {m.grant.machine: m for m in moves if m.state is State.OPEN}
    tx.run(_remember, [{"of_uuid": uuid, "at": m.at, "by": m.grant.principal} for uuid, m in last.items()])


def is_below(places: Sequence[str], id_key: ColumnElement[str] = machine.c.id_key) -> ColumnElement[bool]:
    """At or below one of some scope paths. `id_key`: the column that has the keys of the machines' ids."""
    return or_(false(), *ranges(places, id_key))


def ranges(places: Sequence[str], id_key: ColumnElement[str] = machine.c.id_key) -> list[ColumnElement[bool]]:
    """The same as conditions of which each can be looked up in the index of ids, and none hold for the same machine."""
    if "/" in places:
        return [true()]
    paths = [key(place).rstrip("/") for place in places]
    machines = [path for path in paths if path.count("/") >= PARTS_OF_A_MACHINE]
    # "0" follows "/": what begins with a path and a slash stands before it.
    above = [path for path in paths if path.count("/") < PARTS_OF_A_MACHINE]
    found: list[ColumnElement[bool]] = [and_(id_key >= f"{p}/", id_key < f"{p}0") for p in above]
    return found + ([id_key.in_(machines)] if machines else [])


PARTS_OF_A_MACHINE = 8
"""The slashes of a machine's id."""
_disabled_above = exists().where(
    or_(
        # Not LIKE: an id may hold what LIKE takes for a wildcard.
        func.substr(machine.c.id_key, 1, func.length(jit_disabled.c.scope_key) + 1) == jit_disabled.c.scope_key + "/",
        jit_disabled.c.scope_key == machine.c.id_key,
    )
)
_standing = case(
    (or_(machine.c.unsupported != "", _disabled_above), str(Standing.UNSUPPORTED)),
    (exists().where(policy_machine.c.machine_key == machine.c.id_key), str(Standing.CONFIGURED)),
    else_=str(Standing.NOT_CONFIGURED),
)
_classify = Prepared(update(machine).where(machine.c.uuid == bindparam("of_uuid")).values(standing=_standing))
_classify_key = Prepared(
    update(machine).where(machine.c.id_key == bindparam("of_key"), is_present).values(standing=_standing)
)
_remember = Prepared(
    update(machine)
    .where(machine.c.uuid == bindparam("of_uuid"))
    .values(accessed_at=bindparam("at"), accessed_by=bindparam("by"))
)
