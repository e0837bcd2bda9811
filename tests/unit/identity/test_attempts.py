"""How often somebody may try: enough for people and programs, too little for guessing, and in bounded memory."""

import pytest

from jitgate.core.errors import TooMany
from jitgate.core.prefixes import of_address
from jitgate.identity.attempts import Attempts, by_address, by_principal

ONE, OTHER = by_address(of_address("203.0.113.7")), by_address(of_address("203.0.113.8"))


def test_who_tries_too_often_waits_and_others_do_not() -> None:
    attempts = Attempts(burst=3, rate=1)
    for _ in range(3):
        attempts.check(0.0, ONE)
    with pytest.raises(TooMany) as raised:
        attempts.check(0.0, ONE)
    assert raised.value.wait == 1
    attempts.check(0.0, OTHER)
    attempts.check(1.0, ONE)


def test_a_failed_attempt_costs_more() -> None:
    attempts = Attempts(burst=10, rate=1)
    attempts.check(0.0, ONE)
    attempts.failed(0.0, ONE)
    attempts.check(0.0, ONE)
    attempts.failed(0.0, ONE)
    with pytest.raises(TooMany):
        attempts.check(0.0, ONE)


def test_an_attempt_that_is_refused_for_one_reason_costs_nothing_elsewhere() -> None:
    attempts = Attempts(burst=1, rate=1)
    attempts.check(0.0, ONE)
    for _ in range(5):
        with pytest.raises(TooMany):
            attempts.check(0.0, ONE, by_principal("alice"))
    attempts.check(0.0, OTHER, by_principal("alice"))


def test_the_wait_has_an_end_however_often_somebody_fails() -> None:
    attempts = Attempts(burst=10, rate=1)
    attempts.failed(0.0, *[ONE] * 1000)
    attempts.check(11.0, ONE)


def test_memory_is_bounded_whoever_comes() -> None:
    attempts = Attempts(most=100)
    for number in range(1000):
        attempts.check(0.0, f"address:{number}")
    assert len(attempts._buckets) == 100


def test_all_addresses_of_one_ipv6_site_share_a_bucket() -> None:
    one, same, other = (by_address(of_address(text)) for text in ("2001:db8::1", "2001:db8::f:1", "2001:db8:0:1::1"))
    assert one == same != other


def test_a_claimed_name_is_counted_in_any_case_and_never_kept_at_length() -> None:
    assert by_principal("Alice") == by_principal("ALICE")
    assert len(by_principal("x" * 100_000)) < 200
