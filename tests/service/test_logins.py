"""Device codes: a stranger cannot take them all."""

import pytest
from tests.house import House

from jitgate.core import prefixes
from jitgate.core.errors import TooMany
from jitgate.service import logins
from jitgate.service.logins import DEVICE_LIFE, MOST_BEGUN, MOST_WAITING, Device
from jitgate.service.recognition import Caller


async def begin(house: House, address: str) -> Device:
    return await logins.begin_device(house.service, Caller(prefixes.of_address(address), "c"))


@pytest.mark.parametrize(
    ("address", "beside", "other"),
    [("203.0.113.7", "203.0.113.7", "203.0.113.8"), ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")],
)
async def test_one_address_holds_a_few_device_codes_and_keeps_nobody_else_out(
    house: House, address: str, beside: str, other: str
) -> None:
    """Of IPv6 all of a /64, which one host can call its own."""
    begun = [await begin(house, address) for _ in range(MOST_BEGUN)]
    for again in (address, beside):
        with pytest.raises(TooMany):
            await begin(house, again)
    await begin(house, other)
    await logins.answer_device(house.service, house.alice, begun[0].user_code, allow=True)
    with pytest.raises(TooMany):
        await begin(house, address)
    await logins.redeem_device(house.service, Caller(prefixes.of_address(address), "c"), begun[0].device_code)
    await begin(house, beside)
    house.clock.advance(DEVICE_LIFE)
    await begin(house, address)


async def test_it_takes_a_hundred_addresses_to_use_up_all_device_codes(house: House) -> None:
    assert MOST_WAITING == 100 * MOST_BEGUN
    for at in range(MOST_WAITING):
        await begin(house, f"198.51.100.{at % 100}")
    with pytest.raises(TooMany):
        await begin(house, "203.0.113.7")
