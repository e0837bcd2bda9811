"""Who reaches the ports of machines: kept with each machine, and worked out for hosts from what they tell."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach, badness, listening
from jitgate.store import scopes
from jitgate.store.database import Tx
from jitgate.store.prepared import Prepared
from jitgate.store.schema import machine


def columns(exposures: Sequence[Exposure]) -> dict[str, Any]:
    """What is written of it into a machine's row."""
    return {"exposure": [_as_json(one) for one in exposures], "exposed": badness(exposures)}


def of_column(kept: Iterable[Mapping[str, Any]]) -> tuple[Exposure, ...]:
    """What a machine's row says of it."""
    return tuple(map(_of_json, kept))


def work_out(tx: Tx, scope: str) -> None:
    """Work it out anew for the hosts of a scope. The clouds' connectors tell it themselves."""
    hosts = tx.fetch(_hosts, {"scope_name": scope})
    if not hosts:
        return
    known = scopes.get(tx, scope)
    protected = known.report.get("protected", {}) if known else {}
    for row in hosts:
        told = listening.exposures(row.facts.get("listening"), row.addresses, _shut(protected, row.uuid))
        if told != of_column(row.exposure):
            tx.execute(update(machine).where(machine.c.uuid == row.uuid).values(columns(told)))


def _shut(protected: Mapping[str, str], uuid: str) -> set[tuple[int, Protocol]]:
    """The ports of a machine that a report calls protected without a problem."""
    held = (text.split("|") for text, problem in protected.items() if not problem)
    return {(int(port), Protocol(protocol)) for of, port, protocol in held if of == uuid}


def _as_json(one: Exposure) -> dict[str, Any]:
    return {
        "port": one.port,
        "protocol": str(one.protocol),
        "reach": str(one.reach),
        "sources": list(one.sources),
        "rules": list(one.rules),
        "effectiveDeny": one.effective_deny,
        "note": one.note,
    }


def _of_json(kept: Mapping[str, Any]) -> Exposure:
    return Exposure(
        port=kept["port"],
        protocol=Protocol(kept["protocol"]),
        reach=Reach(kept["reach"]),
        sources=tuple(kept["sources"]),
        rules=tuple(kept["rules"]),
        effective_deny=kept["effectiveDeny"],
        note=kept["note"],
    )


_hosts = Prepared(
    select(machine.c.uuid, machine.c.facts, machine.c.addresses, machine.c.exposure).where(
        machine.c.scope == bindparam("scope_name"), machine.c.provider == "host", machine.c.removed_at.is_(None)
    )
)
