"""Sets of addresses, held against Python's own sets."""

import ipaddress
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitgate.core.exposure import addresses
from jitgate.core.exposure.addresses import EVERY_NAME, EVERYWHERE, NOWHERE, Addresses, of_name, of_prefixes

# All 64 addresses of two small networks.
SMALL = [*ipaddress.ip_network("198.51.100.0/27"), *ipaddress.ip_network("2001:db8::/123")]
PREFIXES = st.one_of(
    st.tuples(st.just("198.51.100."), st.integers(0, 31), st.integers(27, 32)).map(lambda t: f"{t[0]}{t[1]}/{t[2]}"),
    st.tuples(st.just("2001:db8::"), st.integers(0, 31), st.integers(123, 128)).map(lambda t: f"{t[0]}{t[1]:x}/{t[2]}"),
    st.sampled_from(["Sql", "Storage"]),
)


def made(texts: list[str]) -> Addresses:
    parts = [of_prefixes([text]) if "/" in text else of_name(text) for text in texts]
    return reduce(Addresses.__or__, parts, NOWHERE)


def plain(texts: list[str]) -> set[object]:
    networks = [ipaddress.ip_network(text, strict=False) for text in texts if "/" in text]
    held: set[object] = {each for each in SMALL for network in networks if each in network}
    return held | {text for text in texts if "/" not in text}


def as_plain(found: Addresses) -> set[object]:
    held: set[object] = {each for each in SMALL if found.holds(each)}
    assert sum(found.sizes) == len(held), "nothing else is in it"
    return held | set(found.names.listed)


@given(st.lists(PREFIXES, max_size=6), st.lists(PREFIXES, max_size=6))
def test_union_common_part_and_rest_are_those_of_sets(one: list[str], two: list[str]) -> None:
    assert as_plain(made(one) | made(two)) == plain(one) | plain(two)
    assert as_plain(made(one) & made(two)) == plain(one) & plain(two)
    assert as_plain(made(one) - made(two)) == plain(one) - plain(two)
    assert bool(made(one)) is bool(plain(one))


@given(st.lists(PREFIXES, max_size=6), st.lists(PREFIXES, max_size=6))
def test_equal_sets_are_equal_however_they_were_written(one: list[str], two: list[str]) -> None:
    assert (made(one) == made(two)) is (plain(one) == plain(two))
    assert made(list(made(one).texts(99))) == made(one), "and read back the same"


def test_everywhere_holds_all_and_what_is_taken_from_it_stays_away() -> None:
    assert EVERYWHERE - EVERYWHERE == NOWHERE
    assert EVERYWHERE & of_name("Sql") == of_name("Sql")
    assert (of_name("Sql") - of_prefixes(["0.0.0.0/0", "::/0"])) == of_name("Sql"), "a name is in no range"
    assert not of_name("Sql") - EVERY_NAME
    rest = EVERY_NAME - of_name("Sql")
    assert not rest & of_name("Sql")
    assert rest & of_name("Storage") == of_name("Storage")
    assert rest | of_name("Sql") == EVERY_NAME
    assert (EVERYWHERE - of_prefixes(["10.0.0.0/8"])).sizes[0] == 2**32 - 2**24


def test_texts_are_the_fewest_prefixes_and_cut_short() -> None:
    assert EVERYWHERE.texts(5) == ("0.0.0.0/0", "::/0")
    assert of_prefixes(["192.0.2.0/25", "192.0.2.128/25"]).texts(5) == ("192.0.2.0/24",)
    assert (EVERYWHERE - of_prefixes(["10.0.0.1"])).texts(3)[-1] == "and more"
    assert addresses.of_range("192.0.2.1", "192.0.2.3").texts(5) == ("192.0.2.1/32", "192.0.2.2/31")


@pytest.mark.parametrize(("first", "last"), [("192.0.2.3", "192.0.2.1"), ("192.0.2.1", "2001:db8::1")])
def test_what_is_no_range_is_refused(first: str, last: str) -> None:
    with pytest.raises(ValueError, match="not a range"):
        addresses.of_range(first, last)
