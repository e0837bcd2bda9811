"""Where a call comes from: what a trusted proxy says, and nothing that a caller can write."""

import ipaddress
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.web.caller import MOST_HOPS, caller_address

TRUSTED = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8")]
PROXY, PROXY6, CLIENT, CLIENT6 = "10.0.0.1", "fd00::1", "203.0.113.7", "2001:db8::7"


def seen(peer: str | None, headers: Mapping[str, str] | list[tuple[str, str]] | None = None) -> str | None:
    """What the server believes of a call from `peer` with these headers."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    return caller_address({"client": None if peer is None else (peer, 40000), "headers": raw}, TRUSTED)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (CLIENT, "203.0.113.7/32"),
        (CLIENT6, "2001:db8::7/128"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("fe80::1%eth0", "fe80::1/128"),
        ("127.0.0.1", "127.0.0.1/32"),
    ],
)
def test_without_a_proxy_it_is_the_peer(peer: str, expected: str) -> None:
    assert seen(peer) == expected


@pytest.mark.parametrize("peer", [None, "", "unix", "/run/jitgate.sock"])
def test_a_peer_without_an_address_is_none(peer: str | None) -> None:
    assert seen(peer, {"X-Forwarded-For": CLIENT}) is None


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_header_from_anybody_else_is_never_believed(header: str) -> None:
    assert seen(CLIENT, {header: "198.51.100.1" if header.startswith("X") else "for=198.51.100.1"}) == f"{CLIENT}/32"


def test_with_no_proxy_trusted_no_header_is_believed() -> None:
    scope = {"client": (PROXY, 1), "headers": [(b"x-forwarded-for", CLIENT.encode())]}
    assert caller_address(scope, []) == f"{PROXY}/32"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (CLIENT, f"{CLIENT}/32"),
        (f"{CLIENT}:51234", f"{CLIENT}/32"),
        (CLIENT6, f"{CLIENT6}/128"),
        (f"[{CLIENT6}]", f"{CLIENT6}/128"),
        (f"[{CLIENT6}]:51234", f"{CLIENT6}/128"),
        (f"::ffff:{CLIENT}", f"{CLIENT}/32"),
        (f"198.51.100.1, {CLIENT}", f"{CLIENT}/32"),
        (f"{CLIENT}, 10.0.0.2, 10.0.0.3", f"{CLIENT}/32"),
        (f"127.0.0.1, {CLIENT}, 10.0.0.2", f"{CLIENT}/32"),
        ("10.0.0.9", "10.0.0.9/32"),
        ("10.0.0.9, 10.0.0.2", "10.0.0.9/32"),
        ("garbage, 203.0.113.7", f"{CLIENT}/32"),
    ],
)
def test_x_forwarded_for_is_read_from_right_to_left_through_trusted_proxies_only(value: str, expected: str) -> None:
    assert seen(PROXY, {"X-Forwarded-For": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"for={CLIENT}", f"{CLIENT}/32"),
        (f"For={CLIENT};Proto=https;By=10.0.0.1", f"{CLIENT}/32"),
        (f'for="{CLIENT}:51234"', f"{CLIENT}/32"),
        (f'for="[{CLIENT6}]"', f"{CLIENT6}/128"),
        (f'proto=https;for="[{CLIENT6}]:51234"', f"{CLIENT6}/128"),
        (f"for=198.51.100.1, for={CLIENT}", f"{CLIENT}/32"),
        (f'for="a,b;for=c", for={CLIENT}, for=10.0.0.2', f"{CLIENT}/32"),
        ('for="2\\03.0.113.7"', f"{CLIENT}/32"),
    ],
)
def test_the_forwarded_header_is_read_the_same_way(value: str, expected: str) -> None:
    assert seen(PROXY6, {"Forwarded": value}) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": ""},
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": f"{CLIENT}, "},
        {"X-Forwarded-For": f"{CLIENT}, garbage"},
        {"X-Forwarded-For": "203.0.113.0/24"},
        {"X-Forwarded-For": "999.1.1.1"},
        {"X-Forwarded-For": "[203.0.113.7"},
        {"X-Forwarded-For": ", ".join([CLIENT] * (MOST_HOPS + 1))},
        {"Forwarded": ""},
        {"Forwarded": "for=unknown"},
        {"Forwarded": "for=_hidden"},
        {"Forwarded": "proto=https"},
        {"Forwarded": f"for={CLIENT6}"},
        {"Forwarded": f'for="{CLIENT}'},
        {"Forwarded": f"for={CLIENT};for=198.51.100.1"},
        {"Forwarded": f"for={CLIENT} for=198.51.100.1"},
        {"Forwarded": f"for={CLIENT},"},
    ],
)
def test_a_trusted_proxy_that_says_nothing_usable_leaves_the_address_untold(headers: Mapping[str, str]) -> None:
    assert seen(PROXY, headers) is None


def test_a_proxy_without_a_header_is_the_caller_itself() -> None:
    assert seen(PROXY) == f"{PROXY}/32"


def test_a_header_that_the_proxy_passed_on_unread_cannot_forge_the_address() -> None:
    """The proxy writes one header; the caller wrote the other."""
    assert seen(PROXY, {"X-Forwarded-For": CLIENT, "Forwarded": "for=198.51.100.1"}) is None
    assert seen(PROXY, {"X-Forwarded-For": CLIENT, "Forwarded": f"for={CLIENT}"}) == f"{CLIENT}/32"


def test_a_proxy_is_known_also_where_a_dual_stack_socket_shows_it_as_ipv6() -> None:
    assert seen(f"::ffff:{PROXY}", {"X-Forwarded-For": CLIENT}) == f"{CLIENT}/32"
    assert seen(PROXY, {"X-Forwarded-For": f"{CLIENT}, ::ffff:10.0.0.2"}) == f"{CLIENT}/32"


def test_several_lines_of_a_header_are_one_list() -> None:
    lines = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", CLIENT), ("X-Forwarded-For", "10.0.0.2")]
    assert seen(PROXY, lines) == f"{CLIENT}/32"


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_no_header_whatsoever_is_an_error(one: str, other: str) -> None:
    for headers in ({"X-Forwarded-For": one}, {"Forwarded": one}, {"X-Forwarded-For": one, "Forwarded": other}):
        found = seen(PROXY, headers)
        assert found is None or found.endswith(("/32", "/128"))


@given(st.text('for=,;"\\ 0123456789.:[]abcx', max_size=60))
def test_whatever_a_caller_writes_the_address_its_proxy_saw_is_what_counts(written: str) -> None:
    """The caller's own text stands to the left of what the proxy adds."""
    assert seen(PROXY, {"X-Forwarded-For": f"{written}, {CLIENT}"}) in (f"{CLIENT}/32", None)
    assert seen(PROXY, {"Forwarded": f"{written}, for={CLIENT}"}) in (f"{CLIENT}/32", None)
