"""Who was turned away lately at protected ports, as hosts told: hints that are soon forgotten."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select

from jitgate.core.desired import Protocol
from jitgate.store.database import Tx
from jitgate.store.schema import attempt

REMEMBERED = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last attempt of a source at a port. `source`: a single address."""

    machine: str
    port: int
    protocol: Protocol
    source: str
    at: datetime


def replace(tx: Tx, machine: str, seen: Iterable[Attempt]) -> None:
    """Keep these as all that a machine has turned away lately."""
    tx.execute(_forget, {"machine": machine})
    rows = {(each.port, each.protocol, each.source): each for each in seen}
    if rows:
        tx.execute(insert(attempt), [_values(each) for each in rows.values()])


def lately(tx: Tx, machines: Iterable[str]) -> list[Attempt]:
    """What machines have turned away in the last minutes, the latest first."""
    wanted = sorted(set(machines))
    if not wanted:
        return []
    rows = tx.execute(_lately, {"machines": wanted, "since": tx.now - REMEMBERED})
    return [Attempt(row.machine, row.port, Protocol(row.protocol), row.source, row.at) for row in rows]


def _values(one: Attempt) -> dict[str, object]:
    return {
        "machine": one.machine,
        "port": one.port,
        "protocol": str(one.protocol),
        "source": one.source,
        "at": one.at,
    }


_forget = delete(attempt).where(attempt.c.machine == bindparam("machine"))
_lately = (
    select(attempt)
    .where(attempt.c.machine.in_(bindparam("machines", expanding=True)), attempt.c.at > bindparam("since"))
    .order_by(attempt.c.at.desc())
)
