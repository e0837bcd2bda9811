"""What a scope must hold: the union of the live grants, each address open exactly as long as one of them covers it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core import strategies
from tests.unit.core.examples import ALICE, BOB, HOUR, MINUTE, NOW, OFFICE, make_grant
from tests.unit.core.strategies import ADDRESSES

from jitgate.core import prefixes
from jitgate.core.access import Grant, State
from jitgate.core.desired import AccessKey, PortKey, Protocol, Want, union
from jitgate.core.prefixes import Prefix

Access = Mapping[AccessKey, datetime | None]
PROTOCOLS = (Protocol.TCP, Protocol.UDP)


# Nested, and so few that several grants often share a key.
NESTED = [
    Prefix(text) for text in ("192.0.2.0/28", "192.0.2.0/29", "192.0.2.1/32", "2001:db8::/124", "2001:db8::1/128")
]
crowds = st.lists(
    strategies.grants(st.lists(st.sampled_from(NESTED), min_size=1, max_size=2, unique=True).map(prefixes.collapse)),
    max_size=5,
)


def wants(grants: Sequence[Grant]) -> list[Want]:
    """What the store reads: the claims of live grants."""
    return [Want(key, grant.end) for grant in grants if grant.state.is_live and grant.end for key in grant.keys()]


def all_keys(grants: Sequence[Grant]) -> set[AccessKey]:
    return {key for grant in grants for key in grant.keys()}


def work_out(*grants: Grant, now: datetime = NOW) -> Access:
    return union(all_keys(grants), wants(grants), now)


def open_until(access: Access, protocol: Protocol, address: Prefix) -> datetime:
    """When the last key shuts that lets an address in; now, where none does."""
    ends = [
        end
        for key, end in access.items()
        if end is not None and key.protocol is protocol and prefixes.covers(key.prefix, address)
    ]
    return max(ends, default=NOW)


def covered_until(grants: Sequence[Grant], protocol: Protocol, address: Prefix) -> datetime:
    """The same by brute force over the grants, minute by minute."""
    instants = [NOW + timedelta(minutes=count) for count in range(241)]
    covering = [
        grant
        for grant in grants
        if grant.state.is_live
        and protocol in grant.protocol.each
        and any(prefixes.covers(source, address) for source in grant.sources)
    ]
    return next(at for at in instants if not any(grant.end and grant.end > at for grant in covering))


@given(crowds)
def test_every_address_is_open_exactly_as_long_as_some_live_grant_covers_it(grants: list[Grant]) -> None:
    """Cases OV1 to OV6."""
    access = work_out(*grants)
    for protocol, address in product(PROTOCOLS, ADDRESSES):
        assert open_until(access, protocol, address) == covered_until(grants, protocol, address)


@given(crowds, st.sets(st.integers(0, 200), max_size=20))
def test_the_truth_of_a_few_keys_is_the_same_as_in_the_whole_truth(grants: list[Grant], chosen: set[int]) -> None:
    """A pass over what changed and a full sweep never disagree."""
    whole = work_out(*grants)
    keys = {key for at, key in enumerate(sorted(all_keys(grants))) if at in chosen}
    assert union(keys, [want for want in wants(grants) if want.key in keys], NOW) == {key: whole[key] for key in keys}


@given(crowds, st.randoms(use_true_random=False))
def test_the_order_of_grants_does_not_matter(grants: list[Grant], random: Any) -> None:
    assert work_out(*random.sample(grants, len(grants))) == work_out(*grants)


@given(crowds)
def test_nothing_is_held_open_that_has_ended(grants: list[Grant]) -> None:
    assert all(end is None or end > NOW for end in work_out(*grants).values())


@given(crowds)
def test_every_key_that_was_named_is_answered_for(grants: list[Grant]) -> None:
    assert work_out(*grants).keys() == all_keys(grants)


def test_of_two_grants_for_the_same_source_the_later_end_holds() -> None:
    """Case OV1: the end of the first does not shut the second."""
    [key] = make_grant().keys()
    first, second = make_grant(end=NOW + HOUR), make_grant(uid="g2", end=NOW + 2 * HOUR)
    assert work_out(first, second) == work_out(second, first) == {key: NOW + 2 * HOUR}
    assert work_out(first, second, now=NOW + HOUR) == {key: NOW + 2 * HOUR}
    assert work_out(make_grant(State.CLOSING), second) == {key: NOW + 2 * HOUR}


def test_a_network_and_a_host_inside_it_stand_side_by_side_with_their_own_ends() -> None:
    """Case OV6."""
    wide, narrow = make_grant(sources=(OFFICE,)), make_grant(uid="g2", sources=(ALICE,), end=NOW + 2 * HOUR)
    found = work_out(wide, narrow)
    assert (open_until(found, Protocol.TCP, ALICE), open_until(found, Protocol.TCP, BOB)) == (
        NOW + 2 * HOUR,
        NOW + HOUR,
    )


def test_a_key_is_shut_at_its_end_and_not_after() -> None:
    """Case CK5."""
    [key] = make_grant().keys()
    assert work_out(make_grant(), now=NOW + HOUR - timedelta(microseconds=1)) == {key: NOW + HOUR}
    assert work_out(make_grant(), now=NOW + HOUR) == {key: None}


@pytest.mark.parametrize("state", [state for state in State if not state.is_live])
def test_what_is_not_live_holds_nothing_open(state: State) -> None:
    [key] = make_grant().keys()
    assert work_out(make_grant(state)) == {key: None}


def test_a_port_a_machine_and_a_protocol_are_each_their_own_key() -> None:
    others = [
        make_grant(uid="g2", port=23, end=NOW + MINUTE),
        make_grant(uid="g3", machine="uuid-web-2", end=NOW + 2 * MINUTE),
        make_grant(uid="g4", protocol=Protocol.UDP, end=NOW + 3 * MINUTE),
    ]
    assert len(work_out(make_grant(), *others)) == 4


def test_any_protocol_stands_for_tcp_and_udp() -> None:
    assert Protocol.ANY.each == PROTOCOLS
    assert (Protocol.TCP.each, Protocol.UDP.each) == ((Protocol.TCP,), (Protocol.UDP,))


def test_people_read_a_key_as_protocol_port_and_source() -> None:
    key = AccessKey("m", 22, Protocol.TCP, OFFICE)
    assert (str(key), str(key.target)) == ("tcp/22 from 203.0.113.0/24", "tcp/22")
    assert key.target == PortKey("m", 22, Protocol.TCP)
