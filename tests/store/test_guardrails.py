"""Guardrails and the changes that wait for a second administrator."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from jitgate.clock import ManualClock
from jitgate.core.desired import SessionEnd
from jitgate.core.guardrail import Enforcement, Guardrail, Limits
from jitgate.core.prefixes import Prefix
from jitgate.core.selector import Selector
from jitgate.store import guardrails, principals
from jitgate.store.database import Store
from jitgate.store.guardrails import Proposal

PRODUCTION = Guardrail("Production", Selector(tags={"Env": "prod"}, ports=frozenset({22})), Limits(approvals=2))
LOOSER = Guardrail("Production", Selector(), Limits())


def begin(store: Store) -> None:
    store.write_now(lambda tx: principals.add(tx, "ann", "Ann"))


def test_a_guardrail_reads_as_it_was_put_in_any_case_of_its_name(store: Store) -> None:
    begin(store)
    store.write_now(lambda tx: guardrails.put(tx, PRODUCTION, "ann"))
    assert store.read_now(lambda tx: guardrails.get(tx, "PRODUCTION")) == PRODUCTION
    assert store.read_now(lambda tx: guardrails.get(tx, "other")) is None


def test_a_put_replaces_and_a_removal_removes(store: Store) -> None:
    begin(store)
    store.write_now(lambda tx: guardrails.put(tx, PRODUCTION, "ann"))
    store.write_now(lambda tx: guardrails.put(tx, LOOSER, "ann"))
    assert store.read_now(guardrails.list_all) == [LOOSER]
    assert store.write_now(lambda tx: guardrails.remove(tx, "production"))
    assert not store.write_now(lambda tx: guardrails.remove(tx, "production"))
    assert store.read_now(guardrails.list_all) == []


def test_a_proposal_waits_beside_the_guardrail_and_the_latest_holds(store: Store, clock: ManualClock) -> None:
    begin(store)
    store.write_now(lambda tx: guardrails.put(tx, PRODUCTION, "ann"))
    store.write_now(lambda tx: guardrails.propose(tx, "Production", LOOSER, "ann"))
    assert store.read_now(guardrails.list_proposals) == [Proposal("Production", LOOSER, clock.wall(), "ann")]
    store.write_now(lambda tx: guardrails.propose(tx, "production", None, "ann"))
    expected = Proposal("production", None, clock.wall(), "ann")
    assert store.read_now(lambda tx: guardrails.proposal(tx, "Production")) == expected
    assert store.read_now(guardrails.list_all) == [PRODUCTION]
    assert store.write_now(lambda tx: guardrails.withdraw(tx, "PRODUCTION"))
    assert not store.write_now(lambda tx: guardrails.withdraw(tx, "PRODUCTION"))


LENGTHS = st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=365))
LIMITS = st.builds(
    Limits,
    approvals=st.integers(0, 10),
    reason_required=st.booleans(),
    reason_pattern=st.none() | st.text(min_size=1, max_size=20),
    session=st.none() | st.sampled_from(SessionEnd),
    sources=st.none() | st.lists(st.sampled_from(["10.0.0.0/8", "::/0"]).map(Prefix), unique=True).map(tuple),
    caller_only=st.booleans(),
    max_duration=LENGTHS,
    approval_wait=LENGTHS,
    enforcement=st.none() | st.sampled_from(Enforcement),
)
SELECTORS = st.builds(
    Selector, st.just("/subscriptions/X"), st.dictionaries(st.text(), st.text()), st.frozensets(st.integers(1, 65535))
)


@given(st.builds(Guardrail, st.just("g"), SELECTORS, LIMITS))
def test_a_guardrail_comes_out_of_json_as_it_went_in(guardrail: Guardrail) -> None:
    assert guardrails.decode("g", guardrails.encode(guardrail)) == guardrail
