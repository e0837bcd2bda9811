"""Hosts that have joined, as many as one likes: written into a database, and played by `bench.agents`."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from jitgate.clock import SystemClock
from jitgate.core import resource_id
from jitgate.core.machine import FLEET, Machine, OperatingSystem
from jitgate.store import hosts, installation, machines, scopes
from jitgate.store.database import Store, Tx
from jitgate.store.hosts import Host, Membership
from jitgate.store.schema import credential
from jitgate.trust.signatures import SigningKey

GROUP = "jitgate"
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Member:
    """One host. All that it is follows from its number, so that two processes mean the same."""

    number: int

    @property
    def name(self) -> str:
        return f"host-{self.number}"

    @property
    def uuid(self) -> str:
        return str(UUID(int=0xBE7C << 64 | self.number))

    @property
    def scope(self) -> str:
        return f"{FLEET}/{GROUP}/{self.name}"

    @property
    def key(self) -> SigningKey:
        """Nobody else is protected by it: such a host is in a benchmark's database only."""
        chosen = hashlib.sha256(self.name.encode()).digest()
        return SigningKey(Ed25519PrivateKey.from_private_bytes(chosen))


def fill(url: str, count: int) -> str:
    """Let so many hosts be members of a database, while no server runs; the subscription that they are filed under."""
    store = Store.open(url, SystemClock())
    try:
        for first in range(0, count, _BATCH):
            some = [Member(number) for number in range(first, min(first + _BATCH, count))]
            store.write_now(lambda tx, some=some: _add(tx, some))  # type: ignore[misc]
        return store.read_now(_subscription)
    finally:
        store.close()


def _add(tx: Tx, some: list[Member]) -> None:
    token = str(tx.execute(select(credential.c.id).limit(1)).scalar_one())
    subscription = _subscription(tx)
    for each in some:
        joined = Host(
            uuid=each.uuid,
            name=each.name,
            resource_group=GROUP,
            scope=each.scope,
            public_key=each.key.public,
            state=Membership.JOINED,
            token=token,
            asked_at=tx.now,
            joined_at=tx.now,
            heard_at=tx.now,
        )
        hosts.add(tx, joined)
        scopes.make_known(tx, each.scope, FLEET)
    machines.put(tx, [_machine(each, subscription) for each in some])


def _machine(one: Member, subscription: str) -> Machine:
    return Machine(
        uuid=one.uuid,
        id=resource_id.machine_id(subscription, GROUP, one.name),
        name=one.name,
        os=OperatingSystem.LINUX,
        connector=FLEET,
        provider="host",
        scope=one.scope,
        addresses=("192.0.2.1",),
    )


def _subscription(tx: Tx) -> str:
    found = installation.subscription(tx)
    assert found is not None
    return found
