"""Principals, what proves them, and what they may do."""

from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from jitgate.clock import ManualClock
from jitgate.core.roles import OWNER, READER, Assignment, Kind, Principal
from jitgate.store import credentials, principals
from jitgate.store.database import Store
from jitgate.store.principals import Account, Credential, Proof


def begin(store: Store, clock: ManualClock) -> Credential:
    token = Credential("t1", "ann", "token", "laptop", "hash", clock.wall(), clock.wall() + timedelta(days=90))
    store.write_now(lambda tx: principals.add(tx, "ann", "Ann"))
    store.write_now(lambda tx: credentials.add(tx, token))
    return token


def test_a_credential_proves_its_principal_with_all_roles(store: Store, clock: ManualClock) -> None:
    token = begin(store, clock)
    assert store.read_now(lambda tx: principals.prove(tx, "t1")) == Proof(token, Principal("ann", "Ann"), None)
    store.write_now(lambda tx: principals.assign(tx, "1", "ann", "Owner", "/"))
    store.write_now(lambda tx: principals.assign(tx, "2", "ann", "Reader", "/subscriptions/x"))
    proof = store.read_now(lambda tx: principals.prove(tx, "t1"))
    assert proof is not None
    assert proof.principal.uid == "ann"
    assert set(proof.principal.assignments) == {Assignment(OWNER, "/"), Assignment(READER, "/subscriptions/x")}
    assert store.read_now(lambda tx: principals.load(tx, "ann")) == proof.principal


def test_a_credential_that_is_not_known_proves_nobody(store: Store, clock: ManualClock) -> None:
    begin(store, clock)
    assert store.read_now(lambda tx: principals.prove(tx, "t2")) is None
    assert store.read_now(lambda tx: principals.load(tx, "bob")) is None


def test_a_role_that_nobody_knows_gives_nothing(store: Store, clock: ManualClock) -> None:
    begin(store, clock)
    store.write_now(lambda tx: principals.assign(tx, "1", "ann", "Emperor", "/"))
    assert store.read_now(lambda tx: principals.load(tx, "ann")) == Principal("ann", "Ann")


def test_revoking_and_disabling_are_seen_with_the_proof_and_done_once(store: Store, clock: ManualClock) -> None:
    begin(store, clock)
    assert store.write_now(lambda tx: credentials.revoke(tx, "t1"))
    assert store.write_now(lambda tx: principals.disable(tx, "ann"))
    clock.advance(timedelta(hours=1))
    assert not store.write_now(lambda tx: credentials.revoke(tx, "t1"))
    assert not store.write_now(lambda tx: principals.disable(tx, "ann"))
    proof = store.read_now(lambda tx: principals.prove(tx, "t1"))
    assert proof is not None
    assert proof.credential.revoked_at == proof.disabled_at == clock.wall() - timedelta(hours=1)
    assert store.read_now(lambda tx: principals.load(tx, "ann")) is None


def test_a_name_is_one_principals_in_any_case(store: Store, clock: ManualClock) -> None:
    begin(store, clock)
    assert store.read_now(lambda tx: principals.find(tx, "ANN")) == Account("ann", "Ann", Kind.USER, clock.wall())
    assert store.read_now(lambda tx: principals.find(tx, "bob")) is None
    with pytest.raises(IntegrityError):
        store.write_now(lambda tx: principals.add(tx, "other", "ANN"))
    assert len(store.read_now(principals.list_all)) == 1


def test_a_role_can_be_taken_away_again(store: Store, clock: ManualClock) -> None:
    begin(store, clock)
    store.write_now(lambda tx: principals.assign(tx, "1", "ann", "Owner", "/"))
    assert [given.role for given in store.read_now(principals.list_assignments)] == [OWNER.id]
    assert store.write_now(lambda tx: principals.unassign(tx, "1"))
    assert not store.write_now(lambda tx: principals.unassign(tx, "1"))
    assert store.read_now(lambda tx: principals.load(tx, "ann")) == Principal("ann", "Ann")


def test_the_credentials_of_a_principal_are_listed_without_anybody_elses(store: Store, clock: ManualClock) -> None:
    token = begin(store, clock)
    store.write_now(lambda tx: principals.add(tx, "bob", "Bob"))
    assert store.read_now(lambda tx: credentials.list_of(tx, "ann", ["token"])) == [token]
    assert store.read_now(lambda tx: credentials.list_of(tx, "bob", ["token"])) == []
