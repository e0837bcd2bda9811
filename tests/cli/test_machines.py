"""`jitgate machine`: what is told of a machine."""

from dataclasses import replace

from tests.cli.conftest import Cli

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, Reach
from jitgate.service import machines


def expose(cli: Cli, *exposures: Exposure) -> None:
    """What a cloud's connector would tell of web-1."""
    found = [
        replace(machine, exposure=exposures) if machine.name == "web-1" else machine
        for machine in cli.server.connector.machines
    ]
    cli.server.call(machines.take_over(cli.server.service, found, "memory"))


def test_who_reaches_a_port_without_a_grant_is_told_with_the_rule(cli: Cli) -> None:
    sources = tuple(f"198.51.100.{number}/32" for number in range(7))
    expose(
        cli,
        Exposure(22, Protocol.TCP, Reach.ANYONE, ("0.0.0.0/0",), ("web-nsg/ssh",), effective_deny=True),
        Exposure(3389, Protocol.TCP, Reach.SPECIFIC, sources, ("web-nsg/vendor",), note="by way of fw/rdp"),
    )
    shown = cli("machine", "show", "web-1").out
    assert "open to these addresses: 198.51.100.0/32" in shown
    assert "198.51.100.4/32 and 2 more by TCP (web-nsg/vendor). by way of fw/rdp" in shown
    assert "web-nsg/ssh" not in shown, "our deny holds: nobody gets there"
    [held, told] = cli("machine", "show", "web-1", "-o", "json").data["exposure"]
    assert (held["effectiveDeny"], told["reach"], told["rules"]) == (True, "specific", ["web-nsg/vendor"])
