"""Named networks tell where a source lies; they never say so of what reaches beyond them."""

import pytest

from jitgate.core.errors import Invalid
from jitgate.core.networks import MOST_PREFIXES, Network, Networks, check
from jitgate.core.prefixes import Prefix, canonical


def known(**parts: str) -> Networks:
    return Networks(
        Network(name, tuple(canonical(text) for text in prefixes.split())) for name, prefixes in parts.items()
    )


def test_a_source_is_called_by_the_narrowest_network_that_holds_all_of_it() -> None:
    networks = known(company="203.0.0.0/16 2001:db8::/32", office="203.0.113.0/24 2001:db8:1::/48")
    for source, name in {
        "203.0.113.7": "office",
        "203.0.113.0/24": "office",
        "203.0.112.0/23": "company",
        "203.0.7.1": "company",
        "2001:db8:1::7": "office",
        "2001:db8:2::7": "company",
        "198.51.100.9": "",
        "0.0.0.0/0": "",
        "::/0": "",
    }.items():
        assert networks.name_of(canonical(source)) == name, source


def test_sources_in_no_network_are_left_out() -> None:
    inside, outside = canonical("203.0.113.7"), canonical("198.51.100.9")
    assert known(office="203.0.113.0/24").names_of([inside, outside]) == {inside: "office"}


@pytest.mark.parametrize("address", [None, "", "unix:", "203.0.113.7%eth0"])
def test_what_is_no_address_lies_in_no_network(address: str | None) -> None:
    assert known(all="0.0.0.0/0 ::/0").name_of_address(address) == ""


@pytest.mark.parametrize(
    ("network", "field"),
    [
        (Network("", (Prefix("203.0.113.0/24"),)), "name"),
        (Network("two  spaces", (Prefix("203.0.113.0/24"),)), "name"),
        (Network("office", ()), "prefixes"),
        (Network("office", (Prefix("203.0.113.0/24"),) * (MOST_PREFIXES + 1)), "prefixes"),
        (Network("office", (Prefix("203.0.113.0/24"),), "x" * 1001), "note"),
    ],
)
def test_a_network_has_a_name_and_prefixes_and_not_too_much_of_either(network: Network, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(network)
    assert refused.value.reasons[0].field == field
