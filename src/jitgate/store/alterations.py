"""Alterations: what is, or would be, changed of what others made; with its original, and which scopes need it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, exists, insert, select, update

from jitgate.core.alteration import Alteration, Stage
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared, literal_in
from jitgate.store.schema import alteration, alteration_need


@dataclass(frozen=True, slots=True)
class Kept:
    """An alteration, how far it has come, and who agreed to it when. `scope`: what found it, or puts it back."""

    connector: str
    scope: str
    alteration: Alteration
    stage: Stage
    found_at: datetime
    agreed_at: datetime | None
    agreed_by: str | None

    @property
    def key(self) -> str:
        return self.alteration.key


def put(tx: Tx, connector: str, scope: str, proposed: Alteration, known: Kept | None) -> None:
    """Keep an alteration as proposed, in place of what is known of it. Nobody has agreed to it like this."""
    values = {
        "connector": connector,
        "key": proposed.key,
        "stage": str(Stage.PROPOSED),
        "scope": scope,
        "what": proposed.what,
        "original": dict(proposed.original),
        "ports": list(proposed.ports),
        "concerns": list(proposed.concerns),
        "found_at": tx.now,
        "agreed_at": None,
        "agreed_by": None,
    }
    if known is None:
        tx.execute(insert(alteration), values)
    else:
        tx.execute(_update.values(values), {"b_connector": connector, "b_key": proposed.key})


def agree(tx: Tx, agreed: Iterable[Kept], by: str) -> None:
    """Somebody has agreed to these."""
    for kept in agreed:
        values = {"stage": str(Stage.AGREED), "agreed_at": tx.now, "agreed_by": by}
        tx.execute(_update.values(values), {"b_connector": kept.connector, "b_key": kept.key})


def advance(tx: Tx, kept: Kept, stage: Stage, scope: str) -> None:
    """An alteration comes further, by what a scope says or needs."""
    values = {"stage": str(stage), "scope": scope}
    tx.execute(_update.values(values), {"b_connector": kept.connector, "b_key": kept.key})


def forget(tx: Tx, kept: Kept) -> None:
    """It is as others made it again."""
    tx.execute(_forget, {"b_connector": kept.connector, "b_key": kept.key})


def need(tx: Tx, scope: str, connector: str, key: str) -> None:
    """A scope needs an alteration."""
    values = {"scope": scope, "connector": connector, "key": key}
    if not tx.execute(_needs_it, values).all():
        tx.execute(insert(alteration_need), values)


def need_no_longer(tx: Tx, scope: str, kept: Kept) -> bool:
    """A scope does not need it any more. True: nothing does."""
    values = {"scope": scope, "connector": kept.connector, "key": kept.key}
    tx.execute(_drop_need, values)
    return not tx.execute(_needs, values).scalar()


def get_many(tx: Tx, connector: str, keys: Iterable[str]) -> dict[str, Kept]:
    """Alterations of a connector by their keys."""
    wanted = list(keys)
    rows = tx.execute(_by_keys, {"connector": connector, "keys": wanted}) if wanted else ()
    return {row.key: _kept(row) for row in rows}


def standing(tx: Tx, connector: str) -> list[Alteration]:
    """What a connector has changed, or was allowed to."""
    return [_kept(row).alteration for row in tx.fetch(_standing, {"connector": connector})]


def needed_by(tx: Tx, scope: str) -> list[Kept]:
    """What a scope needs, at any stage."""
    return [_kept(row) for row in tx.fetch(_needed_by, {"scope_name": scope})]


def to_restore(tx: Tx, scope: str) -> list[Kept]:
    """What a scope has to put back."""
    return [_kept(row) for row in tx.fetch(_to_restore, {"scope_name": scope})]


def of_scopes(tx: Tx, scopes: Sequence[str]) -> dict[str, list[Kept]]:
    """By scope what it needs or puts back."""
    return {scope: found for scope in scopes if (found := [*needed_by(tx, scope), *to_restore(tx, scope)])}


def scopes_waiting(tx: Tx) -> list[str]:
    """The scopes that need something which nobody has agreed to."""
    return list(tx.execute(_waiting).scalars())


def is_anything_altered(tx: Tx, connector: str) -> bool:
    """Whether a connector still has to put something back, sooner or later."""
    return bool(tx.execute(_altered, {"connector": connector}).scalar())


def _kept(row: Row[Any]) -> Kept:
    return Kept(
        connector=row.connector,
        scope=row.scope,
        alteration=Alteration(row.key, row.what, row.original, tuple(row.ports), tuple(row.concerns)),
        stage=Stage(row.stage),
        found_at=row.found_at,
        agreed_at=row.agreed_at,
        agreed_by=row.agreed_by,
    )


_AGREED = [str(stage) for stage in Stage if stage.is_agreed]
_it = (alteration.c.connector == bindparam("b_connector"), alteration.c.key == bindparam("b_key"))
_update = update(alteration).where(*_it)
_forget = delete(alteration).where(*_it)
_of_it = (alteration_need.c.connector == bindparam("connector"), alteration_need.c.key == bindparam("key"))
_needs_it = select(alteration_need.c.key).where(alteration_need.c.scope == bindparam("scope"), *_of_it)
_drop_need = delete(alteration_need).where(alteration_need.c.scope == bindparam("scope"), *_of_it)
_needs = select(exists().where(*_of_it))
_by_keys = select(alteration).where(
    alteration.c.connector == bindparam("connector"), alteration.c.key.in_(bindparam("keys", expanding=True))
)
_standing = Prepared(
    select(alteration)
    .where(alteration.c.connector == bindparam("connector"), literal_in(alteration.c.stage, _AGREED))
    .order_by(alteration.c.key)
)
_joined = select(alteration).join(
    alteration_need,
    (alteration_need.c.connector == alteration.c.connector) & (alteration_need.c.key == alteration.c.key),
)
_needed_by = Prepared(_joined.where(alteration_need.c.scope == bindparam("scope_name")).order_by(alteration.c.key))
_to_restore = Prepared(
    select(alteration)
    .where(alteration.c.scope == bindparam("scope_name"), alteration.c.stage == str(Stage.RESTORING))
    .order_by(alteration.c.key)
)
_waiting = (
    select(alteration_need.c.scope)
    .join(
        alteration,
        (alteration_need.c.connector == alteration.c.connector) & (alteration_need.c.key == alteration.c.key),
    )
    .where(alteration.c.stage == str(Stage.PROPOSED))
    .distinct()
    .order_by(alteration_need.c.scope)
)
_altered = select(
    exists().where(alteration.c.connector == bindparam("connector"), alteration.c.stage != str(Stage.PROPOSED))
)
