"""A gateway shuts nothing itself: a machine counts as protected only when a way around the gateway is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.connectors.gateway.scene import ALICE, BEHIND, Echo, Scene, until
from tests.netns import Network

from jitgate.connectors.gateway import probe
from jitgate.connectors.hosts.messages import Happened, Kind
from jitgate.core.desired import PortKey, Protocol

AROUND = "127.0.0.9"


async def test_a_port_that_answers_another_address_is_exposed_and_says_what_to_do() -> None:
    target = Echo()
    found = await probe.around(BEHIND, target.port, [AROUND])
    target.close()
    assert f"answers {AROUND}, past the gateway" in found
    assert "Admit only the gateway" in found


async def test_a_refusal_proves_it_shut() -> None:
    target = Echo()
    target.close()
    assert await probe.around(BEHIND, target.port, [AROUND]) == ""


async def test_one_address_that_gets_through_is_enough_to_be_exposed() -> None:
    target = Echo()
    assert await probe.around(BEHIND, target.port, ["192.0.2.1", AROUND]) != ""
    target.close()


async def test_without_an_address_to_probe_from_nothing_is_proven() -> None:
    found = await probe.around(BEHIND, 1, [])
    assert found.startswith("exposed as far as is known")
    assert "probe_from" in found
    assert (await probe.around("::1", 1, [AROUND])).startswith("exposed as far as is known")


async def test_an_address_that_this_machine_has_not_proves_nothing() -> None:
    assert "no address of the gateway's machine" in await probe.around(BEHIND, 1, ["192.0.2.1"])


@pytest.mark.needs_root
def test_a_firewall_that_drops_proves_it_shut() -> None:
    """As a machine's own firewall that admits only the gateway does."""
    with Network() as network:
        loop_up = ["ip", "netns", "exec", network.host.name, "ip", "link", "set", "lo", "up"]
        subprocess.run(loop_up, check=True)
        rules = f"table inet other {{ chain c {{ type filter hook input priority 0; ip saddr {AROUND} drop; }}; }}"
        network.host.nft(rules)
        script = (
            "import asyncio, socket; from jitgate.connectors.gateway import probe;"
            "opened = socket.create_server(('127.0.0.20', 3389));"
            "look = lambda source: asyncio.run(probe.around('127.0.0.20', 3389, [source], 0.5));"
            f"print(repr([look('{AROUND}'), look('{ALICE}')]))"
        )
        dropped, answered = eval(network.host.run(sys.executable, "-c", script))
        assert dropped == ""
        assert "exposed" in answered


def test_the_report_tells_what_probes_find_and_the_server_is_told_of_a_change(tmp_path: Path) -> None:
    with Scene(tmp_path, probe_from=(AROUND,)) as scene:
        assert "first probe" in scene.sync().protected[scene.key]
        until(lambda: "past the gateway" in scene.sync().protected[scene.key])
        until(lambda: any(isinstance(each, Happened) and each.kind is Kind.NOTICED for each in scene.said))


def test_a_machine_whose_port_is_refused_to_others_is_protected(tmp_path: Path) -> None:
    target = Echo()
    target.close()
    with Scene(tmp_path, target, probe_from=(AROUND,)) as scene:
        until(lambda: scene.sync().protected == {scene.key: ""})


def test_a_udp_rule_by_itself_is_never_protected_and_beside_tcp_needs_nothing(scene: Scene) -> None:
    tcp, udp = scene.key, PortKey(scene.key.machine, scene.key.port, Protocol.UDP)
    protection = scene.desired().protected[tcp]
    assert "relays TCP only" in scene.sync(protected={udp: protection}).protected[udp]
    both = scene.sync(protected={tcp: protection, udp: protection}).protected
    assert both[udp] == both[tcp]
