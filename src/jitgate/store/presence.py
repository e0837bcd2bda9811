"""Replicas: who works on this database, of which version. By the database's clock, as leases are.

Whoever is heard sees in the same transaction whether the tables still fit. Whoever takes something away from them looks
in the same transaction for those who need it. So of two that do both at once one comes first, and the other sees it.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, inspect, select, update

from jitgate.store.migrations import SchemaError, Standing, seen
from jitgate.store.schema import MICROSECOND, replica
from jitgate.store.time import DatabaseClock
from jitgate.store.transaction import Tx

LIVES_FOR = timedelta(seconds=60)
"""A replica that was not heard for so long is taken for gone."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica that lives. `knows`: the newest revision of the tables that its jitgate knows; `part`: its `--role`."""

    name: str
    version: str
    knows: str
    part: str


def be_heard(tx: Tx, who: Replica) -> Standing:
    """A replica lives; how far the database has come. Raises SchemaError where it cannot work with that."""
    found = check(tx)
    values = {f"b_{name}": value for name, value in asdict(who).items()}
    if not tx.execute(_update, values).rowcount:
        tx.execute(_insert, values)
    return found


def check(tx: Tx) -> Standing:
    """How far the database has come. Raises SchemaError where this jitgate cannot work with that."""
    found = seen(tx)
    if not found.fits:
        raise SchemaError(
            f"A newer jitgate has taken this database to revision {found.at}, and this one cannot work with it any"
            " more. Install the newer jitgate here as well."
        )
    return found


def leave(tx: Tx, name: str) -> None:
    """A replica has ended."""
    tx.execute(_delete, {"b_name": name})


def lives(tx: Tx, name: str) -> bool:
    """Whether a replica was heard lately."""
    return tx.execute(_lives, {"b_name": name, **_LIVES_FOR}).first() is not None


def living(connection: Connection) -> list[Replica]:
    """The replicas that were heard lately, by name; none of a jitgate that did not yet say so."""
    if not inspect(connection).has_table(replica.name):
        return []
    rows = connection.execute(_living, _LIVES_FOR)
    return [Replica(row.name, row.version, row.knows, row.part) for row in rows]


def by_part(tx: Tx) -> dict[str, int]:
    """How many replicas were heard lately, by the part that they do."""
    return {row.part: row.number for row in tx.execute(_by_part, _LIVES_FOR)}


_values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in ("name", "version", "knows", "part")}
_values["heard_at"] = DatabaseClock()
_update = update(replica).where(replica.c.name == bindparam("b_name")).values(_values)
_insert = insert(replica).values(_values)
_delete = delete(replica).where(replica.c.name == bindparam("b_name"))
_LIVES_FOR = {"microseconds": LIVES_FOR // MICROSECOND}
_is_alive = replica.c.heard_at > DatabaseClock() - bindparam("microseconds", type_=BigInteger())
_living = select(replica).where(_is_alive).order_by(replica.c.name)
_by_part = select(replica.c.part, func.count().label("number")).where(_is_alive).group_by(replica.c.part)
_lives = _living.where(replica.c.name == bindparam("b_name"))
