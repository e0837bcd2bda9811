"""Rows that tests begin with."""

from typing import Any

from sqlalchemy import insert

from jitgate.core.machine import Machine, OperatingSystem
from jitgate.core.resource_id import machine_id
from jitgate.store import machines, principals
from jitgate.store.database import Tx
from jitgate.store.schema import grant_key, grants, request, scope_state

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "rg"


def make_machine(name: str = "web1", uuid: str = "", **other: Any) -> Machine:
    values = {"os": OperatingSystem.LINUX, "connector": "hosts", "provider": "host", "scope": "host/one"} | other
    return Machine(uuid=uuid or f"uuid-{name}", id=machine_id(SUBSCRIPTION, GROUP, name), name=name, **values)


def add_scope(tx: Tx, scope: str = "host/one") -> None:
    tx.execute(
        insert(scope_state),
        {"scope": scope, "connector": "hosts", "generation": 0, "attempts": 0, "error": "", "memory": {}, "report": {}},
    )


def add_request(tx: Tx) -> None:
    """The principal `ann`, the machine `web1`, and a request `r`."""
    principals.add(tx, "ann", "Ann")
    machines.put(tx, [make_machine()])
    values = {
        "uid": "r",
        "principal": "ann",
        "requestor": "Ann",
        "justification": "",
        "asked_at": tx.now,
        "approvals": 0,
    }
    tx.execute(insert(request), values)


def add_grant(tx: Tx, uid: str, *, previous: str = "new", state: str = "opening") -> None:
    """A grant out of the request `r`."""
    tx.execute(
        insert(grants),
        {
            "uid": uid,
            "request": "r",
            "position": 0,
            "policy": "p",
            "principal": "ann",
            "machine": "uuid-web1",
            "machine_id": make_machine().id,
            "scope": "host/one",
            "port": 22,
            "protocol": "TCP",
            "sources": ["203.0.113.9/32", "2001:db8::/64"],
            "source_texts": ["203.0.113.9", "2001:db8::/64"],
            "session": "keep",
            "previous_state": previous,
            "state": state,
            "since": tx.now,
            "asked_at": tx.now,
            "changed": True,
            "revision": 0,
        },
    )
    for prefix in ("203.0.113.9/32", "2001:db8::/64"):
        values = {"machine": "uuid-web1", "port": 22, "protocol": "TCP", "prefix": prefix, "grant": uid}
        tx.execute(insert(grant_key), values)
