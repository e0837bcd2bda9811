"""Previews: what protecting ports would do, asked for by somebody and answered by the reconciler."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from jitgate.core.alteration import Alteration
from jitgate.core.desired import PortKey, Protocol
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import preview

KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Preview:
    """Ports of a machine that somebody thinks of protecting.

    `answered_at`  None: not planned yet
    `steps`        what would be done, verb and object
    `error`        why it could not be planned
    """

    uid: str
    scope: str
    machine: str
    asked_by: str
    asked_at: datetime
    ports: Sequence[PortKey]
    answered_at: datetime | None = None
    steps: Sequence[tuple[str, str]] = ()
    alterations: Sequence[Alteration] = ()
    error: str = ""


def ask(tx: Tx, uid: str, scope: str, machine: str, by: str, ports: Iterable[PortKey]) -> None:
    """Have the reconciler plan it. What was asked more than a day ago is forgotten."""
    tx.execute(_forget, {"before": tx.now - KEPT_FOR})
    values = {"uid": uid, "scope": scope, "machine": machine, "asked_by": by, "asked_at": tx.now}
    tx.execute(insert(preview), {**values, "ports": [[port.port, str(port.protocol)] for port in ports]})


def get(tx: Tx, uid: str) -> Preview | None:
    """One preview."""
    row = tx.execute(_get, {"uid": uid}).one_or_none()
    return None if row is None else _preview(row)


def waiting(tx: Tx, scope: str) -> list[Preview]:
    """What is to be planned for a scope."""
    return [_preview(row) for row in tx.fetch(_waiting, {"scope_name": scope})]


def answer(
    tx: Tx, uid: str, steps: Iterable[tuple[str, str]], alterations: Iterable[Alteration], error: str = ""
) -> None:
    """What was planned, or why nothing could be."""
    values: Mapping[str, Any] = {
        "answered_at": tx.now,
        "steps": [list(step) for step in steps],
        "alterations": [each.encode() for each in alterations],
        "error": error,
    }
    tx.execute(_answer.values(values), {"b_uid": uid})


def _preview(row: Row[Any]) -> Preview:
    return Preview(
        uid=row.uid,
        scope=row.scope,
        machine=row.machine,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        ports=tuple(PortKey(row.machine, number, Protocol(protocol)) for number, protocol in row.ports),
        answered_at=row.answered_at,
        steps=tuple((verb, what) for verb, what in row.steps or ()),
        alterations=tuple(map(Alteration.decode, row.alterations or ())),
        error=row.error,
    )


_get = select(preview).where(preview.c.uid == bindparam("uid"))
_waiting = Prepared(
    select(preview)
    .where(preview.c.scope == bindparam("scope_name"), preview.c.answered_at.is_(None))
    .order_by(preview.c.asked_at)
)
_answer = update(preview).where(preview.c.uid == bindparam("b_uid"))
_forget = delete(preview).where(preview.c.asked_at < bindparam("before"))
