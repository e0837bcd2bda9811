"""Prefixes: one spelling for one set of addresses, and arithmetic that agrees with the ipaddress module."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.examples import shown
from tests.unit.core.strategies import ADDRESSES, near_prefixes, networks, source_lists

from jitgate.core import prefixes
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import ANY_IPV4, ANY_IPV6, ANYWHERE, Network, Prefix

CANONICAL = {
    "192.0.2.1": "192.0.2.1/32",
    "192.0.2.1/32": "192.0.2.1/32",
    "192.0.2.77/24": "192.0.2.0/24",
    "0.0.0.0/0": "0.0.0.0/0",
    "203.0.113.9/0": "0.0.0.0/0",
    "2001:db8::1": "2001:db8::1/128",
    "2001:DB8:0:0::0001": "2001:db8::1/128",
    "2001:db8::1/64": "2001:db8::/64",
    "::/0": "::/0",
    "::ffff:192.0.2.1": "192.0.2.1/32",
    "::FFFF:c000:201": "192.0.2.1/32",
    "::ffff:192.0.2.77/120": "192.0.2.0/24",
    "::ffff:0:0/96": "0.0.0.0/0",
    # Reaches beyond the mapped addresses, so it is not IPv4 by another name.
    "::ffff:0:0/95": "::fffe:0:0/95",
    # Deprecated "compatible" addresses (RFC 4291, 2.5.5.1) are IPv6 like any other.
    "::192.0.2.1": "::c000:201/128",
}

MALFORMED = [
    "",
    " ",
    " 192.0.2.1",
    "192.0.2.1 ",
    "192.0.2.1\n",
    "192.0.2.1,192.0.2.2",
    "192.0.2.1-192.0.2.9",
    "192.0.2",
    "192.0.2.1.5",
    "192.0.2.256",
    "192.0.2.-1",
    "192.0.02.1",  # Octal to some programs.
    "0300.0.2.1",
    "0xC0000201",
    "3221225985",
    "10.0.0.0/64",
    "10.0.0.0/33",
    "2001:db8::/129",
    "2001:db8::/-1",
    "10.0.0.0/",
    "10.0.0.0//8",
    "10.0.0.0/8/8",
    "/8",
    "10.0.0.0/+8",
    "10.0.0.0/ 8",
    "10.0.0.0/8.0",
    "10.0.0.0/255.0.0.0",
    "10.0.0.0/0.0.0.255",
    "10.0.0.0/0.0.0.0",
    "10.0.0.0/٨",
    "١٩٢.0.2.1",
    "１９２.0.2.1",
    "fe80::1%eth0",
    "fe80::%eth0/64",
    "2001:db8::1::2",
    "2001:db8:::1",
    "::ffff:10.0.0.0/129",
    "[2001:db8::1]",
    "[2001:db8::1]:22",
    "192.0.2.1:22",
    "example.com",
    "localhost",
    "**",
    "any",
    "Internet",
    "VirtualNetwork",
    "192.0.2.1\x00",
    "1" * 100_000,
]


def hosts(*found: Prefix) -> set[Prefix]:
    """The addresses of the neighbourhoods that are in any of these, by the ipaddress module alone."""
    wide = [ipaddress.ip_network(prefix) for prefix in found]
    return {
        host
        for host in ADDRESSES
        for address in [ipaddress.ip_network(host).network_address]
        if any(address in network for network in wide)
    }


@pytest.mark.parametrize(("written", "canonical"), CANONICAL.items())
def test_an_address_has_one_spelling(written: str, canonical: str) -> None:
    assert prefixes.canonical(written) == canonical


@pytest.mark.parametrize("text", MALFORMED, ids=shown)
def test_what_is_no_source_is_refused_with_its_field_and_what_would_do(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        prefixes.parse(text, "ports[0].allowedSourceAddressPrefix")
    reason = refusal.value.reason
    assert reason.field == "ports[0].allowedSourceAddressPrefix"
    assert "203.0.113.0/24" in reason.allowed
    assert len(str(reason)) < 300


@pytest.mark.parametrize("value", [None, 3221225985, 10.0, True, b"192.0.2.1", ["192.0.2.1"], {"*": "*"}])
def test_what_is_no_text_is_no_source(value: object) -> None:
    with pytest.raises(Invalid):
        prefixes.parse(value, "source")


def test_a_star_means_every_address_of_both_families() -> None:
    assert prefixes.parse("*", "source") == (ANY_IPV4, ANY_IPV6) == ANYWHERE


def test_several_sources_come_out_sorted_and_without_what_another_covers() -> None:
    texts = ["2001:db8::1", "192.0.2.9", "192.0.2.0/25", "192.0.2.128/25", "192.0.2.9", "::ffff:198.51.100.1"]
    assert prefixes.parse_all(texts, "source") == ("192.0.2.0/24", "198.51.100.1/32", "2001:db8::1/128")


@given(networks)
def test_canonical_text_is_its_own_canonical_text(network: Network) -> None:
    once = prefixes.canonical(str(network))
    assert prefixes.canonical(once) == once


@given(networks, st.integers(0))
def test_host_bits_say_nothing(network: Network, bits: int) -> None:
    inside = network[bits % network.num_addresses]
    assert prefixes.canonical(f"{inside}/{network.prefixlen}") == prefixes.canonical(str(network))


@given(networks, networks)
def test_two_texts_are_equal_exactly_when_the_prefixes_are(one: Network, other: Network) -> None:
    def unmapped(network: Network) -> tuple[int, int, int]:
        if network.version == 6 and network.prefixlen >= 96 and int(network.network_address) >> 32 == 0xFFFF:
            return 4, int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96
        return network.version, int(network.network_address), network.prefixlen

    same = prefixes.canonical(str(one)) == prefixes.canonical(str(other))
    assert same == (unmapped(one) == unmapped(other))


@given(st.ip_addresses(v=4))
def test_a_dual_stack_socket_and_an_ipv4_one_show_the_same_peer(address: ipaddress.IPv4Address) -> None:
    assert prefixes.of_address(f"::ffff:{address}") == prefixes.of_address(str(address)) == f"{address}/32"


@given(networks)
def test_family_and_length_are_those_of_the_network(network: Network) -> None:
    prefix = prefixes.canonical(str(network))
    canonical = prefixes.network(prefix)
    assert (prefixes.family(prefix), prefixes.length(prefix)) == (canonical.version, canonical.prefixlen)


@given(near_prefixes, near_prefixes)
def test_a_prefix_covers_another_exactly_when_it_holds_all_its_addresses(wide: Prefix, narrow: Prefix) -> None:
    outer, inner = ipaddress.ip_network(wide), ipaddress.ip_network(narrow)
    holds = (
        outer.version == inner.version
        and outer.network_address <= inner.network_address  # type: ignore[operator]
        and inner.broadcast_address <= outer.broadcast_address  # type: ignore[operator]
    )
    assert prefixes.covers(wide, narrow) == holds


def test_neither_family_covers_the_other() -> None:
    assert not prefixes.covers(ANY_IPV6, Prefix("192.0.2.1/32"))
    assert not prefixes.covers(ANY_IPV4, Prefix("2001:db8::1/128"))


@given(st.lists(near_prefixes, max_size=8))
def test_the_widest_hold_the_same_addresses_and_none_lies_in_another(found: list[Prefix]) -> None:
    kept = prefixes.widest(found)
    assert set(kept) <= set(found)
    assert prefixes.collapse(kept) == prefixes.collapse(found)
    assert not [(one, other) for one in kept for other in kept if one != other and prefixes.covers(one, other)]


@given(st.lists(near_prefixes, max_size=8))
def test_collapsing_changes_no_address(found: list[Prefix]) -> None:
    assert hosts(*prefixes.collapse(found)) == hosts(*found)


@given(st.lists(near_prefixes, max_size=8))
def test_collapsed_prefixes_are_sorted_and_no_two_touch_or_overlap(found: list[Prefix]) -> None:
    collapsed = prefixes.collapse(found)
    assert prefixes.collapse(collapsed) == collapsed
    assert prefixes.collapse(reversed(found)) == collapsed
    assert not any(prefixes.covers(a, b) for a in collapsed for b in collapsed if a != b)


@given(source_lists, source_lists)
def test_sources_are_inside_exactly_when_every_address_of_them_is(
    narrow: tuple[Prefix, ...], by: tuple[Prefix, ...]
) -> None:
    everything = {ANY_IPV4, ANY_IPV6}
    inside = hosts(*narrow) <= hosts(*by) and everything & {*narrow} <= everything & {*by}
    assert prefixes.all_covered(narrow, by) == inside
    assert (prefixes.first_outside(narrow, by) is None) == inside


def test_two_halves_cover_the_whole() -> None:
    """Case PV1: containment is that of the union, not of one listed range."""
    halves = [Prefix("198.51.100.0/24"), Prefix("192.0.2.0/25"), Prefix("192.0.2.128/25"), Prefix("2001:db8::/32")]
    assert prefixes.first_outside([Prefix("192.0.2.0/24")], halves) is None


def test_the_first_source_outside_is_the_one_that_is_named() -> None:
    sources = [Prefix("192.0.2.1/32"), Prefix("198.51.100.0/24"), Prefix("203.0.113.0/24")]
    assert prefixes.first_outside(sources, [Prefix("192.0.2.0/24")]) == "198.51.100.0/24"


def test_the_zone_of_a_link_local_peer_is_left_out() -> None:
    assert prefixes.of_address("fe80::1%eth0") == "fe80::1/128"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "192.0.2.0/24", "2001:db8::/32", "*", "", "unknown", "192.0.2.1:443"])
def test_an_address_is_never_read_as_more_than_one(text: str) -> None:
    with pytest.raises(Invalid):
        prefixes.of_address(text)


@pytest.mark.parametrize(
    ("prefix", "loopback"),
    [
        ("127.0.0.1/32", True),
        ("127.0.0.0/8", True),
        ("::1/128", True),
        ("::/0", False),
        ("0.0.0.0/0", False),
        ("126.0.0.0/7", False),
        ("192.0.2.1/32", False),
    ],
)
def test_loopback_is_what_lies_wholly_inside_it(prefix: str, *, loopback: bool) -> None:
    assert prefixes.is_loopback(prefixes.canonical(prefix)) is loopback


def test_people_read_single_addresses_without_their_length() -> None:
    told = prefixes.describe([Prefix("192.0.2.1/32"), Prefix("2001:db8::1/128"), Prefix("192.0.2.0/24"), ANY_IPV6])
    assert told == "192.0.2.1, 2001:db8::1, 192.0.2.0/24, ::/0"


def test_people_read_everything_as_any_source_and_one_family_as_itself() -> None:
    assert prefixes.describe(ANYWHERE) == "any source"
    assert prefixes.describe([ANY_IPV4]) == "0.0.0.0/0"
    assert prefixes.describe([]) == "no source"


def test_a_message_does_not_grow_with_a_long_list() -> None:
    many = [Prefix(f"192.0.2.{last}/32") for last in range(250)]
    assert prefixes.describe(many).endswith("192.0.2.19 and 230 more")
    assert prefixes.describe(many[:20]).endswith("192.0.2.19")


@pytest.mark.parametrize("prefix", ["192.0.2.0/31", "0.0.0.0/0", "2001:db8::/127", "2001:db8::/32"])
def test_more_than_one_address_is_wide(prefix: str) -> None:
    assert prefixes.is_wide(Prefix(prefix))


@pytest.mark.parametrize("address", ADDRESSES[::7])
def test_one_address_is_not_wide(address: Prefix) -> None:
    assert not prefixes.is_wide(address)
