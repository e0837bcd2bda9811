"""How an installation stands: what is counted is there, and counting it reads no table from end to end."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from tests.store import rows

from jitgate.clock import ManualClock
from jitgate.store import credentials, cursors, heads, hosts, machines, measures, presence
from jitgate.store.database import Store, Tx
from jitgate.store.hosts import Host, Membership
from jitgate.store.presence import Replica
from jitgate.store.principals import Credential
from jitgate.store.schema import activity, activity_head, connector, grants, scope_state


async def test_an_empty_installation_has_nothing_to_tell(store: Store) -> None:
    found = await store.read(lambda tx: measures.take(tx, ["team"], ["file"]))
    assert [found.grants, found.failing, found.machines, found.replicas, found.connectors] == [{}] * 5
    assert (found.requests, found.due, found.unsealed, found.head) == (0, None, None, None)
    assert (found.untold, found.unsent) == ({"team": None}, {"file": None})


async def test_grants_are_counted_by_state_and_the_oldest_of_each_is_known(store: Store, clock: ManualClock) -> None:
    def fill(tx: Tx) -> None:
        rows.add_request(tx)
        for number in range(3):
            rows.add_grant(tx, f"o{number}")
        for number in range(2):
            rows.add_grant(tx, f"p{number}", state="pending")
        rows.add_grant(tx, "over", previous="pending", state="closed")

    await store.write(fill)
    began = clock.wall()
    clock.advance(timedelta(minutes=5))
    await store.write(lambda tx: rows.add_grant(tx, "later"))
    found = await store.read(measures.take)
    assert found.grants == {"opening": 4, "pending": 2}
    assert found.requests == 1, "both are of one request"
    assert {state: found.at - since for state, since in found.oldest.items()} == {
        "opening": found.at - began,
        "pending": found.at - began,
    }


async def test_a_scope_that_is_due_and_one_that_fails_are_seen(store: Store, clock: ManualClock) -> None:
    def fill(tx: Tx) -> None:
        for name, due, error in (("a", -30, ""), ("b", -90, "it is away"), ("c", 60, "it is away")):
            rows.add_scope(tx, name)
            values = {"due_at": tx.now + timedelta(seconds=due), "error": error}
            tx.execute(update(scope_state).where(scope_state.c.scope == name).values(values))
        machines.put(tx, [rows.make_machine(name, scope=name) for name in ("a", "b", "c")])

    await store.write(fill)
    found = await store.read(measures.take)
    assert found.due is not None
    assert (found.at - found.due).total_seconds() == pytest.approx(90, abs=1)
    assert found.failing == {"hosts": 2}


async def test_a_scope_whose_machine_is_gone_matters_as_long_as_a_port_there_is_not_proven_shut(
    store: Store, clock: ManualClock
) -> None:
    def fill(tx: Tx) -> None:
        rows.add_request(tx)
        rows.add_scope(tx)
        tx.execute(update(scope_state).values(due_at=tx.now, error="its agent is gone"))
        rows.add_grant(tx, "g", previous="open", state="closing")
        machines.remove(tx, ["uuid-web1"])

    await store.write(fill)
    clock.advance(timedelta(minutes=1))
    found = await store.read(measures.take)
    assert (found.failing, found.due is None) == ({"hosts": 1}, False)
    await store.write(lambda tx: tx.execute(update(grants).values(changed=False)).close())
    found = await store.read(measures.take)
    assert (found.failing, found.due) == ({}, None)


async def test_replicas_and_connectors_are_told_as_they_are(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for name, part in (("one", "web"), ("two", "web"), ("three", "worker")):
            presence.be_heard(tx, Replica(name, "1", "0019", part))
        for name, failed_at in (("good", None), ("bad", tx.now)):
            values = {"kind": "aws", "subscription": "", "resource_group": "", "settings": {}, "revision": 1}
            more = {"created_at": tx.now, "error": "", "missing": [], "test_error": "", "failed_at": failed_at}
            tx.execute(insert(connector), {"name": name, **values, **more})

    await store.write(fill)
    found = await store.read(measures.take)
    assert found.replicas == {"web": 2, "worker": 1}
    assert found.connectors == {"good": True, "bad": False}


async def test_what_is_not_sealed_not_told_and_not_sent_has_an_age(store: Store, clock: ManualClock) -> None:
    def event(tx: Tx, sequence: int | None) -> None:
        values = {"operation": "o", "outcome": "s", "caller": "", "resource": "", "resource_key": "", "correlation": ""}
        tx.execute(insert(activity), {"sequence": sequence, "at": tx.now, "properties": {}, **values})

    def head(tx: Tx, number: int) -> None:
        values = {"root": "", "previous": "", "key": "", "signature": ""}
        tx.execute(insert(activity_head), {"number": number, "first": number, "count": 1, "at": tx.now, **values})

    def begin(tx: Tx) -> None:
        event(tx, 1)
        head(tx, 1)
        cursors.make_known(tx, "knows")
        cursors.make_known(tx, "waits")
        heads.keep_delivered(tx, "sent", 1)

    await store.write(begin)
    clock.advance(timedelta(seconds=20))

    def go_on(tx: Tx) -> None:
        event(tx, 2)
        head(tx, 2)
        cursors.advance(tx, "knows", 2)

    await store.write(go_on)
    clock.advance(timedelta(seconds=5))
    await store.write(lambda tx: event(tx, None))
    clock.advance(timedelta(seconds=1))
    found = await store.read(lambda tx: measures.take(tx, ["knows", "waits", "new"], ["sent", "never"]))

    def age(moment: Any) -> Any:
        return moment and round((found.at - moment).total_seconds())

    assert {name: age(since) for name, since in found.untold.items()} == {"knows": None, "waits": 6, "new": None}
    assert {name: age(since) for name, since in found.unsent.items()} == {"sent": 6, "never": 26}
    assert (age(found.unsealed), age(found.head)) == (1, 6)


async def test_hosts_are_heard_silent_or_waiting_and_who_was_removed_is_none(store: Store) -> None:
    def fill(tx: Tx) -> None:
        joined = [("heard", "joined", False), ("silent", "joined", True), ("waits", "waiting", False)]
        for name, state, silent in [*joined, ("gone", "removed", False)]:
            add_host(tx, name, state, silent)

        rows.add_scope(tx, "beside")
        tx.execute(update(scope_state).values(silent_since=tx.now))

    await store.write(fill)
    found = await store.read(measures.take)
    elsewhere = {("host", "heard"): 1, ("host", "silent"): 1, ("host", "waiting"): 1}
    assert found.hosts == elsewhere | {("beside", "silent"): 1}


def add_host(tx: Tx, name: str, state: str, silent: bool) -> None:
    """A host elsewhere, of the credential that is there."""
    if credentials.get(tx, "c") is None:
        credentials.add(tx, Credential("c", None, "join", "", "", tx.now))
    new = Host(name, name, "jitgate", f"fleet/{name}", f"key-{name}", Membership(state), "c", tx.now, silent=silent)
    hosts.add(tx, new)
