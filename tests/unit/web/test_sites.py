"""Whose pages may talk to this server."""

from collections.abc import Sequence

import pytest

from jitgate.core.errors import Forbidden, Invalid
from jitgate.web.sites import check_host, check_site, host_of

ALLOWED = {"jit.example.com", "192.0.2.1", "2001:db8::1"}


def scope(*headers: tuple[str, str]) -> dict[str, object]:
    return {"headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]}


@pytest.mark.parametrize(
    "host",
    ["jit.example.com", "JIT.example.com:8443", "192.0.2.1", "192.0.2.1:8443", "[2001:db8::1]", "[2001:db8::1]:8443"],
)
def test_the_hosts_that_the_server_was_started_with_are_served_at_any_port(host: str) -> None:
    check_host(scope(("Host", host)), ALLOWED)


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "attacker.example")],
        [("Host", "jit.example.com.attacker.example")],
        [("Host", "jit.example.com@attacker.example")],
        [("Host", "2001:db8::1")],
        [("Host", "")],
        [],
        [("Host", "jit.example.com"), ("Host", "attacker.example")],
    ],
)
def test_a_call_that_was_meant_for_another_host_is_refused(headers: Sequence[tuple[str, str]]) -> None:
    """A name that an attacker's DNS points here (DNS rebinding) shows in Host."""
    with pytest.raises(Invalid, match="not known as"):
        check_host(scope(*headers), ALLOWED)


def test_the_refusal_does_not_list_the_hosts_that_would_do() -> None:
    with pytest.raises(Invalid) as raised:
        check_host(scope(("Host", "attacker.example")), ALLOWED)
    assert "jit.example.com" not in str(raised.value)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", "https://jit.example.com")],
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        [("Origin", "https://JIT.example.com"), ("Sec-Fetch-Site", "same-origin")],
    ],
)
def test_programs_and_own_pages_may_call(headers: Sequence[tuple[str, str]]) -> None:
    check_site(scope(("Host", "jit.example.com"), *headers))


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "https://attacker.example")],
        [("Origin", "http://jit.example.com")],
        [("Origin", "https://jit.example.com:444")],
        [("Origin", "null")],
        [("Origin", "")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "same-origin"), ("Origin", "https://attacker.example")],
        [("Origin", "https://jit.example.com"), ("Origin", "https://attacker.example")],
    ],
)
def test_pages_of_other_sites_may_not(headers: Sequence[tuple[str, str]]) -> None:
    with pytest.raises(Forbidden):
        check_site(scope(("Host", "jit.example.com"), *headers))


def test_several_hosts_are_none() -> None:
    assert host_of(scope(("Host", "one"), ("Host", "two"))) == ""
