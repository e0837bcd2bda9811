"""Scenes that are wanted again and again."""

from dataclasses import dataclass

from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.scene import Scene, rule

OFFICE: Json = rule("office-web", 300, ports="443")


@dataclass(frozen=True, slots=True)
class Placed:
    """What a scene made, as ids: the machines, and the groups that govern them (one that is not there is "")."""

    scene: Scene
    machines: tuple[str, ...]
    nic_nsg: str = ""
    subnet_nsg: str = ""
    firewall: str = ""


def one_machine(arm: Arm) -> Placed:
    """`web-1` at 10.0.1.4 and fd00:1::4, 203.0.113.10 outside, with a group at its interface."""
    scene = Scene(arm)
    nsg = scene.nsg("web-nsg", OFFICE)
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16", "fd00:1::/48"), "web", "10.0.1.0/24", "fd00:1::/64")
    public = {"10.0.1.4": scene.public_ip("web-1-ip", "203.0.113.10")}
    nic = scene.nic("web-1-nic", subnet, "10.0.1.4", "fd00:1::4", nsg=nsg, public=public)
    return Placed(scene, (scene.vm("web-1", nic),), nic_nsg=nsg)


def two_groups(arm: Arm) -> Placed:
    """`web-1` as in `one_machine`, with another group at its subnet, which lets SSH pass."""
    scene = Scene(arm)
    inner = scene.nsg("web-nsg", rule("ssh", 300))
    outer = scene.nsg("subnet-nsg", rule("ssh-and-web", 200, ports=["22", "443"]))
    vnet = scene.vnet("net", "10.0.0.0/16", "fd00:1::/48")
    subnet = scene.subnet(vnet, "web", "10.0.1.0/24", "fd00:1::/64", nsg=outer)
    public = {"10.0.1.4": scene.public_ip("web-1-ip", "203.0.113.10")}
    nic = scene.nic("web-1-nic", subnet, "10.0.1.4", "fd00:1::4", nsg=inner, public=public)
    return Placed(scene, (scene.vm("web-1", nic),), nic_nsg=inner, subnet_nsg=outer)


def shared_group(arm: Arm, count: int = 3) -> Placed:
    """`web-1` and so on, in one subnet whose group governs them all."""
    scene = Scene(arm)
    nsg = scene.nsg("shared-nsg", rule("ssh", 300))
    subnet = scene.subnet(scene.vnet("net", "10.0.0.0/16"), "web", "10.0.0.0/20", nsg=nsg)
    return Placed(scene, tuple(_machine(scene, subnet, number) for number in range(1, count + 1)), subnet_nsg=nsg)


def behind_firewall(arm: Arm) -> Placed:
    """`web-1` at 10.0.1.4 with a group, reached by a firewall at 203.0.113.20 (10.0.250.4 inside)."""
    scene = Scene(arm)
    nsg = scene.nsg("web-nsg", OFFICE)
    table = scene.route_table("by-firewall", "10.0.250.4")
    vnet = scene.vnet("net", "10.0.0.0/16")
    outside = scene.subnet(vnet, "AzureFirewallSubnet", "10.0.250.0/24")
    subnet = scene.subnet(vnet, "web", "10.0.1.0/24", route_table=table)
    firewall = scene.firewall("fw", outside, "10.0.250.4", scene.public_ip("fw-ip", "203.0.113.20"))
    nic = scene.nic("web-1-nic", subnet, "10.0.1.4", nsg=nsg)
    return Placed(scene, (scene.vm("web-1", nic),), nic_nsg=nsg, firewall=firewall)


def fleet(arm: Arm, count: int = 1000) -> Placed:
    """So many machines, `web-1` and so on; each hundred shares the group of its subnet."""
    scene = Scene(arm)
    vnet = scene.vnet("net", "10.0.0.0/8")
    machines: list[str] = []
    for block in range((count + 99) // 100):
        nsg = scene.nsg(f"nsg-{block}", rule("ssh", 300))
        subnet = scene.subnet(vnet, f"block-{block}", f"10.{block}.0.0/24", nsg=nsg)
        numbers = range(block * 100 + 1, min(count, block * 100 + 100) + 1)
        machines += [_machine(scene, subnet, number, f"10.{block}.0.") for number in numbers]
    return Placed(scene, tuple(machines))


def _machine(scene: Scene, subnet: str, number: int, network: str = "10.0.0.") -> str:
    nic = scene.nic(f"web-{number}-nic", subnet, f"{network}{4 + (number - 1) % 100}")
    return scene.vm(f"web-{number}", nic)
