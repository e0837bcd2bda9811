"""Many grants at once: written into a database as if each had been asked for and opened; and counted in the kernel."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from sqlalchemy import select

from jitgate.clock import SystemClock
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.table import TABLE, Purpose, Slot
from jitgate.core.access import Grant, State
from jitgate.core.desired import Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, of_address
from jitgate.core.progress import Move
from jitgate.store import grants, machines, principals, requests
from jitgate.store.database import Store, Tx
from jitgate.store.requests import Asked, Granted
from jitgate.store.schema import policy, policy_machine

_LASTING = timedelta(hours=6)
_BATCH = 1000


def fill(directory: Path, traffic: int, talkers: Sequence[str], ssh: int, more: int) -> None:
    """Open UDP port `traffic` for the talkers, and TCP port `ssh` for so many other sources, on the one machine that
    the one policy names."""
    wanted = [(of_address(address), traffic, Protocol.UDP) for address in talkers]
    wanted += [(_other(number), ssh, Protocol.TCP) for number in range(more)]
    store = Store.open(f"sqlite:///{directory / 'jitgate.db'}", SystemClock())
    try:
        for start in range(0, len(wanted), _BATCH):
            store.write_now(partial(_add, wanted=wanted[start : start + _BATCH]))
    finally:
        store.close()


def count_elements(namespace: str) -> int:
    """How many elements the kernel holds for single IPv4 addresses."""
    reader = Reader(namespace)
    try:
        return len(reader.elements(TABLE, Slot(Purpose.OPEN, 4, 32).name))
    finally:
        reader.close()


def _other(number: int) -> Prefix:
    return of_address(f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


def _add(tx: Tx, wanted: Sequence[tuple[Prefix, int, Protocol]]) -> None:
    place = tx.execute(select(policy.c.uid, policy_machine.c.machine_key).join(policy_machine)).one()
    [machine] = machines.by_keys(tx, [place.machine_key]).values()
    owner = principals.list_all(tx)[0]
    opened = []
    for source, port, protocol in wanted:
        asked = Asked(uuid4().hex, owner.uid, owner.name, "bench", None, "", tx.now, None, 0)
        grant = Grant(
            uid=uuid4().hex,
            request=asked.uid,
            principal=owner.uid,
            machine=machine.uuid,
            scope=machine.scope,
            port=port,
            protocol=protocol,
            sources=(source,),
            session=SessionEnd.KEEP,
            state=State.OPENING,
            asked_at=tx.now,
            since=tx.now,
            end=tx.now + _LASTING,
        )
        requests.add(tx, asked, [Granted(grant, tx.now, asked, 0, place.uid, machine.id, None, "")])
        opened.append(Move(grant, State.OPEN, tx.now))
    grants.move(tx, opened)
