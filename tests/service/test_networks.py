"""Named networks are administrators' to describe, and everybody's to read beside what they may read anyway."""

import pytest
from tests.house import House, lasting

from jitgate.audit import Operation, Outcome
from jitgate.core.errors import Forbidden, NotFound
from jitgate.core.networks import Network
from jitgate.core.prefixes import Prefix, canonical
from jitgate.service import networks

OFFICE = Network("Office", (Prefix("203.0.113.0/24"),), "second floor")


async def test_a_source_is_called_by_its_network_until_that_is_forgotten(house: House) -> None:
    await house.enable("web-1")
    await networks.put_network(house.service, house.alice, OFFICE)
    asked = await house.ask("web-1", sources=("203.0.113.7", "198.51.100.9"), span=lasting("1h"))
    assert asked.grants[0].networks == {canonical("203.0.113.7"): "Office"}
    await networks.remove_network(house.service, house.alice, "OFFICE")
    again = await house.ask("web-1", sources=("203.0.113.7",), span=lasting("1h"))
    assert again.grants[0].networks == {}


async def test_what_a_network_was_and_is_stands_on_record(house: House) -> None:
    await networks.put_network(house.service, house.alice, OFFICE)
    await networks.put_network(house.service, house.alice, Network("office", (Prefix("2001:db8::/48"),)))
    told = [one for one in await house.events() if one.operation == Operation.NETWORK_WRITE]
    assert told[-1].properties == {
        "before": {"prefixes": ["203.0.113.0/24"], "note": "second floor"},
        "after": {"prefixes": ["2001:db8::/48"], "note": ""},
    }
    assert [one.name for one in await networks.list_networks(house.service, house.alice)] == ["office"]


async def test_only_who_may_describe_networks_does_and_the_rest_is_on_record(house: House) -> None:
    reader = await house.add_asker("rita", "Reader")
    with pytest.raises(Forbidden):
        await networks.put_network(house.service, reader, OFFICE)
    assert await networks.list_networks(house.service, reader) == []
    requester = await house.add_asker("bob", "JIT Requester")
    with pytest.raises(Forbidden):
        await networks.list_networks(house.service, requester)
    with pytest.raises(NotFound, match="no network 'office'"):
        await networks.remove_network(house.service, house.alice, "office")
    told = [(one.operation, one.outcome) for one in await house.events()]
    assert told.count((Operation.NETWORK_WRITE, Outcome.REFUSED)) == 1
    assert told.count((Operation.NETWORK_DELETE, Outcome.REFUSED)) == 1
