"""Freezes: what is kept shut for a person or below a scope path."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from jitgate.core.freeze import Freeze, keys_over, person_key
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import freeze, principal

_FEW = 8
"""More than that in force, and they are looked up one key at a time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A freeze with who made it, and who ended it. The names are those of now."""

    freeze: Freeze
    by: str
    person_name: str | None = None
    thawed_at: datetime | None = None
    thawed_by: str | None = None
    thaw_why: str | None = None


def add(tx: Tx, new: Freeze, by: str) -> None:
    """Keep a freeze. `by`: the uid of who made it."""
    values = {"uid": new.uid, "key": new.key, "person": new.person, "scope": new.scope, "why": new.why, "at": new.at}
    tx.execute(_insert, {**values, "by": by})


def over(tx: Tx, person: str, machine_ids: Iterable[str]) -> list[Freeze]:
    """Those in force that may concern a person (by uid) or a machine. Costs the same however many machines there are.

    Mostly there is none, and then that is all that is looked at.
    """
    return ask_over(tx)(person, machine_ids)


def ask_over(tx: Tx) -> Callable[[str, Iterable[str]], list[Freeze]]:
    """The same, asked ahead."""
    some = tx.ask_once(_some)

    def over(person: str, machine_ids: Iterable[str]) -> list[Freeze]:
        few = some()
        if len(few) <= _FEW:
            return [_freeze(row) for row in few]
        keys = [person_key(person), *keys_over(machine_ids)]
        return [freeze for key in keys for freeze in in_force(tx, key)]

    return over


def of_person(tx: Tx, uid: str) -> list[Freeze]:
    """Those in force that concern a person."""
    return in_force(tx, person_key(uid))


def in_force(tx: Tx, key: str) -> list[Freeze]:
    """Those in force of exactly this person or scope path, by `Freeze.key`."""
    return [_freeze(row) for row in tx.fetch(_by_key, {"key": key})]


def find(tx: Tx, uid_prefix: str, most: int) -> list[Kept]:
    """Freezes, also those that are over, whose uid begins like this."""
    return [_kept(row) for row in tx.execute(_find, {"low": uid_prefix, "high": uid_prefix + "~", "most": most})]


def get(tx: Tx, uid: str) -> Kept | None:
    """One freeze, also one that is over."""
    row = tx.execute(_get, {"freeze_uid": uid}).first()
    return _kept(row) if row else None


def list_all(tx: Tx, *, most: int, ended: bool = False) -> list[Kept]:
    """Those in force, newest first; with `ended` also those that are over."""
    return [_kept(row) for row in tx.execute(_list_ended if ended else _list, {"most": most})]


def thaw(tx: Tx, uid: str, by: str, why: str) -> bool:
    """End a freeze. False: it is over already."""
    return tx.execute(_thaw, {"b_uid": uid, "b_at": tx.now, "b_by": by, "b_why": why}).rowcount == 1


def _freeze(row: Row[Any]) -> Freeze:
    return Freeze(row.uid, row.why, row.at, row.person, row.scope)


def _kept(row: Row[Any]) -> Kept:
    return Kept(_freeze(row), row.by_name, row.person_name, row.thawed_at, row.thawed_name, row.thaw_why)


_columns = (freeze.c.uid, freeze.c.why, freeze.c.at, freeze.c.person, freeze.c.scope)
_in_force = freeze.c.thawed_at.is_(None)
_insert = insert(freeze)
_some = Prepared(select(*_columns).where(_in_force).limit(_FEW + 1))
_by_key = Prepared(select(*_columns).where(_in_force, freeze.c.key == bindparam("key")))
_by, _person, _thawer = principal.alias("by_"), principal.alias("person_"), principal.alias("thawer")
_named = (
    select(
        *_columns,
        freeze.c.thawed_at,
        freeze.c.thaw_why,
        _by.c.name.label("by_name"),
        _person.c.name.label("person_name"),
        _thawer.c.name.label("thawed_name"),
    )
    .join(_by, _by.c.uid == freeze.c.by)
    .outerjoin(_person, _person.c.uid == freeze.c.person)
    .outerjoin(_thawer, _thawer.c.uid == freeze.c.thawed_by)
)
_find = _named.where(freeze.c.uid >= bindparam("low"), freeze.c.uid < bindparam("high")).limit(bindparam("most"))
_get = _named.where(freeze.c.uid == bindparam("freeze_uid"))
_list_ended = _named.order_by(freeze.c.at.desc(), freeze.c.uid).limit(bindparam("most"))
_list = _named.where(_in_force).order_by(freeze.c.at.desc(), freeze.c.uid).limit(bindparam("most"))
_thaw = (
    update(freeze)
    .where(freeze.c.uid == bindparam("b_uid"), _in_force)
    .values(thawed_at=bindparam("b_at"), thawed_by=bindparam("b_by"), thaw_why=bindparam("b_why"))
)
