"""Who the server takes somebody for, and where it sees them."""

from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from tests.server import Server

BEHIND = {"X-Forwarded-For": "203.0.113.7"}


def test_it_tells_name_rights_and_address(api: httpx.Client) -> None:
    found = api.get("whoami").json()
    assert found["name"] == "owner"
    assert found["roles"] == [{"role": "Owner", "scope": "/", "via": ""}]
    assert found["address"] == "127.0.0.1"


def test_an_address_that_a_stranger_claims_is_not_believed(api: httpx.Client) -> None:
    assert api.get("whoami", headers=BEHIND).json()["address"] == "127.0.0.1"


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_behind_a_trusted_proxy_it_is_the_address_that_the_proxy_saw(data_dir: Path, address: str) -> None:
    """Case PV7."""
    trusted = [ip_network("127.0.0.0/8")]
    with Server(data_dir, trusted_proxies=trusted) as server, server.client() as client:
        answer = client.get("/api/v1/whoami", headers={"X-Forwarded-For": f"10.9.9.9, {address}"})
        assert answer.json()["address"] == address
