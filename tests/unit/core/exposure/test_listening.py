"""What a host says of its management ports, and who gets there. It may say anything."""

import pytest

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach, badness
from jitgate.core.exposure.listening import exposures

SSH = (22, Protocol.TCP)


def only(told: object, *addresses: str, shut: frozenset[tuple[int, Protocol]] = frozenset()) -> Exposure:
    [found] = exposures(told, addresses, shut)
    return found


def test_a_socket_at_every_address_of_a_host_on_the_internet_is_open_to_anyone() -> None:
    found = only(["tcp/22 on ::"], "10.0.0.4", "203.0.113.7")
    assert (found.port, found.protocol, found.reach) == (22, Protocol.TCP, Reach.ANYONE)
    assert found.sources == ("0.0.0.0/0", "::/0"), "an IPv6 socket takes IPv4 as well"
    assert found.rules == ("tcp/22 on ::",)
    assert not found.effective_deny


@pytest.mark.parametrize(
    ("socket", "addresses", "reach"),
    [
        ("tcp/22 on 0.0.0.0", ("10.0.0.4",), Reach.INTERNAL),
        ("tcp/22 on 0.0.0.0", ("fd00::4", "fe80::1", "100.64.0.9"), Reach.INTERNAL),
        ("tcp/22 on 0.0.0.0", (), Reach.ANYONE),
        ("tcp/22 on ::", ("2001:db8::4",), Reach.ANYONE),
        ("tcp/22 on 10.0.0.4", ("10.0.0.4", "203.0.113.7"), Reach.INTERNAL),
        ("tcp/22 on 203.0.113.7", ("10.0.0.4",), Reach.ANYONE),
    ],
)
def test_private_addresses_are_reached_from_inside_only(socket: str, addresses: tuple[str, ...], reach: Reach) -> None:
    found = only([socket], *addresses)
    assert found.reach is reach
    assert bool(found.note) is (reach is Reach.INTERNAL), "that no other way in is known is said"


def test_a_port_that_is_held_shut_says_so_and_nobody_is_counted_for_it() -> None:
    found = only(["tcp/22 on ::"], "203.0.113.7", shut=frozenset({SSH}))
    assert found.effective_deny
    assert found.reach is Reach.ANYONE, "who would get there without jitgate"
    assert badness([found]) == 0
    assert not only(["udp/3389 on ::"], shut=frozenset({(3389, Protocol.TCP)})).effective_deny


def test_sockets_of_one_port_are_one_exposure() -> None:
    found = only(["tcp/22 on 10.0.0.4", "tcp/22 on 203.0.113.7"], "10.0.0.4")
    assert found.reach is Reach.ANYONE
    assert found.rules == ("tcp/22 on 10.0.0.4", "tcp/22 on 203.0.113.7")
    assert found.sources == ("0.0.0.0/0",)


@pytest.mark.parametrize("told", ["tcp/22 on 127.0.0.1", "tcp/22 on ::1", "tcp/443 on ::", "udp/5353 on 0.0.0.0"])
def test_loopback_and_other_services_are_nobodys_business(told: str) -> None:
    assert exposures([told], ["203.0.113.7"], frozenset()) == ()


@pytest.mark.parametrize(
    "told", [None, 7, "tcp/22 on ::", {"a": 1}, [None, 5, ["x"], "tcp/22 on ::::", "tcp/22 on 1.2.3", "x" * 10_000]]
)
def test_what_is_no_such_text_counts_as_nothing(told: object) -> None:
    assert exposures(told, ["nonsense"], frozenset()) == ()


def test_no_more_is_looked_at_than_is_shown() -> None:
    assert exposures(["tcp/80 on ::"] * 500 + ["tcp/22 on ::"], [], frozenset()) == ()


def test_the_worst_port_decides_how_bad_a_machine_is() -> None:
    kinds = [Exposure(22, Protocol.TCP, reach) for reach in (Reach.INTERNAL, Reach.ANYONE, Reach.SPECIFIC)]
    assert [badness(kinds[:count]) for count in range(4)] == [0, 1, 3, 3]
    assert badness([kinds[2]]) == 2
