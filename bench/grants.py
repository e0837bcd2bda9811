"""Many grants at once: written into a database as if each had been asked for and opened; and counted in the kernel."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from uuid import uuid4

from sqlalchemy import select

from jitgate.clock import SystemClock
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.table import TABLE, Purpose, Slot
from jitgate.core.access import Grant, State
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.machine import Machine
from jitgate.core.prefixes import Prefix, of_address
from jitgate.core.progress import Move
from jitgate.store import grants, machines, principals, requests
from jitgate.store.database import Store, Tx
from jitgate.store.requests import Asked, Granted
from jitgate.store.schema import policy, policy_machine

_LASTING = timedelta(hours=6)
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """One port of a machine, for one source, under a policy of that uid. `end`: else six hours from now."""

    machine: Machine
    policy: str
    source: Prefix
    port: int
    protocol: Protocol = Protocol.TCP
    end: datetime | None = None


def fill(url: str, make: Callable[[Machine, str], Iterable[Wanted]]) -> None:
    """Have what `make` says standing, of the one machine and the uid of the one policy."""
    with opened(url) as store:
        place, machine = store.read_now(_only)
        add(store, make(machine, place))


def opened(url: str) -> AbstractContextManager[Store]:
    """A database, in which nobody else works."""
    return closing(Store.open(url, SystemClock()))


def add(store: Store, wanted: Iterable[Wanted]) -> None:
    """Have them open, each asked for in a request of its own."""
    rest = iter(wanted)
    while some := list(islice(rest, _BATCH)):
        store.write_now(partial(_add, wanted=some))


def count_elements(namespace: str) -> int:
    """How many elements the kernel holds for single IPv4 addresses."""
    reader = Reader(namespace)
    try:
        return len(reader.elements(TABLE, Slot(Purpose.OPEN, 4, 32).name))
    finally:
        reader.close()


def other(number: int) -> Prefix:
    """The source of that number in 11.0.0.0/8."""
    return of_address(f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


def _only(tx: Tx) -> tuple[str, Machine]:
    place = tx.execute(select(policy.c.uid, policy_machine.c.machine_key).join(policy_machine)).one()
    [machine] = machines.by_keys(tx, [place.machine_key]).values()
    return place.uid, machine


def _add(tx: Tx, wanted: Sequence[Wanted]) -> None:
    owner = principals.list_all(tx)[0]
    moves = []
    for each in wanted:
        asked = Asked(uuid4().hex, owner.uid, owner.name, "bench", None, "", tx.now, None, 0)
        grant = Grant(
            uid=uuid4().hex,
            request=asked.uid,
            principal=owner.uid,
            machine=each.machine.uuid,
            scope=each.machine.scope,
            port=each.port,
            protocol=each.protocol,
            sources=(each.source,),
            session=SessionEnd.KEEP,
            state=State.OPENING,
            asked_at=tx.now,
            since=tx.now,
            end=each.end or tx.now + _LASTING,
        )
        requests.add(tx, asked, [Granted(grant, tx.now, asked, 0, each.policy, each.machine.id, None, "")])
        moves.append(Move(grant, State.OPEN, tx.now))
    grants.move(tx, moves)
