"""A user's rule that outranks our deny is converted by command line, API and portal, and given back by each."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.cli.conftest import Cli, furnish, quiet
from tests.connectors.azure.scene import SOFT, allow
from tests.processes import until
from tests.server import Server

from jitgate.clock import SystemClock
from jitgate.connectors.azure.connector import AzureConnector
from jitgate.connectors.azure.settings import check, read
from jitgate.service.machines import take_over
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.scene import Scene
from jitgate.testing.azure.server import serve

RULE = "vendor"
LEVELS = ("cli", "api", "portal")
silent = quiet


class Place:
    """A jitgate with a fake Azure, in which there is a machine for each level, with a rule of a user's in the way."""

    def __init__(self, server: Server, url: str, arm: Arm) -> None:
        self.server = server
        self.cli = Cli(server, server.directory.parent / "home")
        self._scene = Scene(arm, subscription=server.subscription, group="azure")
        vnet = self._scene.vnet("net", "10.0.0.0/16")
        for at, level in enumerate(LEVELS):
            nsg = self._scene.nsg(level, allow(RULE, 101, "20-30"))
            subnet = self._scene.subnet(vnet, level, f"10.0.{at}.0/24", nsg=nsg)
            self._scene.vm(f"vm-{level}", self._scene.nic(f"nic-{level}", subnet, f"10.0.{at}.4"))
        kept = check({"endpoint": url, "credential": "none"})
        self.cloud = AzureConnector("azure", server.subscription, read(kept), server.clock, poll_seconds=SOFT)
        server.connectors["azure"] = self.cloud
        server.call(self._find())

    async def _find(self) -> None:
        await take_over(self.server.service, await self.cloud.discover(), "azure")

    def rule(self, level: str) -> Mapping[str, Any]:
        """The user's rule, less what is empty."""
        nsg = f"/subscriptions/{self.server.subscription}/resourceGroups/azure/providers/Microsoft.Network"
        found = self._scene.rules(f"{nsg}/networkSecurityGroups/{level}")[RULE]
        return {name: value for name, value in found.items() if value not in ([], "", None)}

    def waiting(self, machine: str) -> Any:
        """What waits for consent, as the API tells it."""
        with self.server.client() as client:
            [found] = client.get("/api/v1/alterations", params={"machine": machine}).json()["items"]
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    arm = Arm(SystemClock())
    with serve(arm) as url, Server(furnish(tmp_path_factory.mktemp("consent"))) as server:
        made = Place(server, url, arm)
        yield made
        server.call(made.cloud.close())


def by_cli(place: Place, machine: str) -> None:
    ran = place.cli("machine", "agree", machine, "--yes")
    assert ran.code == 0, ran.err
    assert RULE in ran.err, "what it is agreed to is shown first"


def by_api(place: Place, machine: str) -> None:
    with place.server.client() as client:
        told = place.waiting(machine)
        assert RULE in told["items"][0]["what"]
        agreed = client.post("/api/v1/alterations/agree", json={"machine": machine, "digest": told["digest"]})
        assert agreed.is_success, agreed.text


def by_portal(place: Place, machine: str) -> None:
    with signed_in(place.server) as (browser, origin):
        page = browser.get(f"/machines/{machine}", follow_redirects=True)
        assert "Consent is needed" in page.text
        assert RULE in page.text
        found = re.search(r'action="([^"]*/agree)".*?name="digest" value="([^"]+)"', page.text, re.DOTALL)
        assert found, "there is no button to agree"
        sent = browser.post(found[1], data={"digest": found[2]}, headers={"Origin": origin})
        assert sent.status_code == 303, sent.text


AGREE: Mapping[str, Callable[[Place, str], None]] = {"cli": by_cli, "api": by_api, "portal": by_portal}


def disabled_by_cli(place: Place, machine: str) -> None:
    assert place.cli("disable", machine).code == 0


def disabled_by_api(place: Place, machine: str) -> None:
    with place.server.client() as client:
        assert client.post("/api/v1/machines/disable", json={"machines": [machine]}).is_success


def disabled_by_portal(place: Place, machine: str) -> None:
    with signed_in(place.server) as (browser, origin):
        assert (
            browser.post(f"/machines/{machine}/remove", data={"sure": "1"}, headers={"Origin": origin}).status_code
            == 303
        )


DISABLE: Mapping[str, Callable[[Place, str], None]] = {
    "cli": disabled_by_cli,
    "api": disabled_by_api,
    "portal": disabled_by_portal,
}


@pytest.mark.parametrize("level", LEVELS)
def test_a_rule_that_outranks_the_deny_is_converted_with_consent_and_given_back(place: Place, level: str) -> None:
    machine, original = f"vm-{level}", place.rule(level)
    place.cli("enable", machine, "--timeout", "2s")
    until(lambda: place.waiting(machine)["digest"], "nothing waits for consent")
    assert place.rule(level) == original, "nothing is touched before"
    AGREE[level](place, machine)
    until(lambda: set(place.rule(level).get("destinationPortRanges", ())) == {"20-21", "23-30"}, "it is not converted")
    DISABLE[level](place, machine)
    until(lambda: place.rule(level) == original, "it is not given back")


@contextmanager
def signed_in(server: Server) -> Iterator[tuple[httpx.Client, str]]:
    """The owner's browser, and where its forms come from."""
    origin = server.base_url
    with server.client() as owner:
        path: str = owner.post("/api/v1/sign-in-links").json()["path"]
    with server.client("") as browser:
        form = {"link": path.partition("#")[2], "next": "/"}
        assert browser.post("/sign-in/link", data=form, headers={"Origin": origin}).status_code == 303
        yield browser, origin
