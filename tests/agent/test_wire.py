"""What server and agent say to each other arrives as it was said, and what does not fit is refused."""

import asyncio
import ipaddress
import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.connectors.base import Capabilities, Connection, GenerationBehind, Report
from jitgate.connectors.hosts import messages, wire
from jitgate.connectors.hosts.connector import read
from jitgate.connectors.hosts.messages import (
    Answer,
    Applied,
    Apply,
    Discover,
    Failed,
    Happened,
    HostFacts,
    Hosts,
    Kind,
    Request,
    Settled,
)
from jitgate.connectors.hosts.wire import Malformed
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix, canonical

NOW = datetime(2030, 1, 1, tzinfo=UTC)

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.integers(0, 1 << 60)
ports = st.integers(1, 65535)
protocols = st.sampled_from([Protocol.TCP, Protocol.UDP])
moments = st.timedeltas(timedelta(0), timedelta(days=365 * 8000)).map(
    lambda since: datetime(1970, 1, 1, tzinfo=UTC) + since
)
networks = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
)
prefixes = networks.map(lambda each: canonical(f"{each[0]}/{each[1]}"))
port_keys = st.builds(PortKey, names, ports, protocols)
access_keys = st.builds(AccessKey, names, ports, protocols, prefixes)
protections = st.builds(Protection, st.sampled_from(SessionEnd), st.booleans())
desireds = st.builds(
    Desired,
    scope=names,
    generation=numbers,
    at=moments,
    machines=st.frozensets(names, max_size=3),
    protected=st.dictionaries(port_keys, protections, max_size=5),
    access=st.dictionaries(access_keys, st.none() | moments, max_size=8),
    cut=st.dictionaries(access_keys, moments, max_size=5),
    complete=st.booleans(),
)
reports = st.builds(
    Report,
    scope=names,
    generation=numbers,
    standing=st.dictionaries(access_keys, moments, max_size=8),
    shut=st.frozensets(access_keys, max_size=8),
    protected=st.dictionaries(port_keys, names, max_size=5),
    capabilities=st.builds(Capabilities, st.booleans(), st.booleans()),
    refused=st.dictionaries(access_keys, names, max_size=5),
    repaired=st.lists(names, max_size=3).map(tuple),
    outranked=st.lists(names, max_size=3).map(tuple),
    connections=st.dictionaries(
        names, st.builds(Connection, names, st.dictionaries(ports, ports, max_size=2)), max_size=3
    ),
    complete=st.booleans(),
)
requests = st.one_of(
    st.builds(Discover, numbers),
    st.builds(Apply, numbers, desireds, st.integers(0, 10**9).map(float)),
    st.builds(Settled, names),
)
facts = st.builds(
    HostFacts, names, names, st.lists(names, max_size=3).map(tuple), names, st.dictionaries(names, names, max_size=3)
)
answers = st.one_of(
    st.builds(Hosts, numbers, st.lists(facts, max_size=3).map(tuple)),
    st.builds(Applied, numbers, reports),
    st.builds(Failed, numbers, names, st.booleans(), st.none() | numbers),
    st.builds(Happened, st.sampled_from(Kind), names, names, moments, names, names, names),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def body_of(message: Request | Answer) -> bytes:
    return messages.encode(message)[4:]


@given(requests)
def test_what_a_server_says_arrives_as_it_was_said(request: Request) -> None:
    assert messages.decode_request(body_of(request)) == request


@given(answers)
def test_what_an_agent_says_arrives_as_it_was_said(answer: Answer) -> None:
    assert messages.decode_answer(body_of(answer)) == answer


@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_other_bytes_are_refused_by_both_sides(body: bytes) -> None:
    for decode in (messages.decode_request, messages.decode_answer):
        with pytest.raises(Malformed):
            decode(body)


@given(requests | answers, st.data())
def test_a_message_with_one_part_replaced_is_refused_or_read_but_never_breaks(
    message: Request | Answer, data: st.DataObject
) -> None:
    value: dict[str, Any] = json.loads(body_of(message))
    place: Any = value["desired"] if "desired" in value else value.get("report", value)
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(json_values)
    decode = messages.decode_answer if isinstance(message, Hosts | Applied | Failed | Happened) else None
    try:
        (decode or messages.decode_request)(json.dumps(value).encode())
    except Malformed:
        return


@given(networks, st.sampled_from(["{0}/{1}", "{0}", " {0}/{1}", "{0}/{1} ", "{0}/0{1}", "{0}/{1}\n", "{0}/+{1}"]))
def test_a_prefix_is_read_in_its_canonical_spelling_only(network: tuple[Any, int], spelling: str) -> None:
    """It ends up in a firewall command, where anything else could be one."""
    spelt = spelling.format(*network)
    try:
        expected = str(ipaddress.ip_network(spelt)) == spelt
    except ValueError:
        expected = False
    if expected:
        assert wire.prefix(spelt) == spelt
    else:
        with pytest.raises(Malformed):
            wire.prefix(spelt)


@pytest.mark.parametrize(
    "spelt",
    [
        "",
        "/",
        "10.0.0.0",
        "10.0.0.1/24",
        "10.0.0.0/33",
        "::1/129",
        "10.0.0.0/-1",
        "::ffff:10.0.0.0/104 }",
        7,
        None,
        "a" * 70,
    ],
)
def test_what_is_no_prefix_is_refused(spelt: object) -> None:
    with pytest.raises(Malformed):
        wire.prefix(spelt)


def test_a_hundred_thousand_keys_pass_in_one_message_and_one_key_is_small() -> None:
    machine = "11111111-1111-1111-1111-111111111111"
    every = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32" for n in range(100_000)]
    access = {
        AccessKey(machine, 22, Protocol.TCP, Prefix(prefix)): NOW + timedelta(seconds=n)
        for n, prefix in enumerate(every)
    }
    desired = Desired("host/web-1", 7, NOW, frozenset({machine}), {}, access, complete=True)
    body = body_of(Apply(1, desired, 0.0))
    assert len(body) < 4_000_000
    assert messages.decode_request(body) == Apply(1, desired, 0.0)
    one = replace(desired, access=dict([next(iter(access.items()))]), complete=False)
    assert len(body_of(Apply(2, one, 0.0))) < 400


def test_a_length_that_no_message_has_is_refused_before_it_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall((wire.LARGEST + 1).to_bytes(4))
        with pytest.raises(Malformed):
            messages.receive(ours)


def test_messages_in_pieces_are_put_together_and_half_a_message_is_none() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            whole = messages.encode(Discover(1))
            theirs.sendall(whole + whole[:9])
        assert messages.receive(ours) == whole[4:]
        assert messages.receive(ours) is None


async def test_the_event_loop_reads_the_same_messages() -> None:
    reader = asyncio.StreamReader()
    whole = messages.encode(Discover(1))
    reader.feed_data(whole + whole[:9])
    reader.feed_eof()
    assert await read(reader) == whole[4:]
    assert await read(reader) is None


def test_a_text_for_people_is_cut_and_not_refused_by_the_other_side() -> None:
    answer = messages.decode_answer(body_of(Failed(1, "x" * 100_000)))
    assert isinstance(answer, Failed)
    assert len(answer.message) == 4096


def test_an_agent_that_is_ahead_says_how_far() -> None:
    error = Failed(1, "older", current=9).error()
    assert isinstance(error, GenerationBehind)
    assert error.current == 9
