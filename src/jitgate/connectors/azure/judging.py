"""What is told of a machine: whether it can have just-in-time access and why not, and what people should know. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jitgate.connectors.azure.names import is_microsofts
from jitgate.connectors.azure.planning import MOST_PREFIXES, MOST_RULES
from jitgate.connectors.azure.rules import Nsg
from jitgate.connectors.azure.topology import Interface, Place, Topology
from jitgate.core.machine import SESSIONS_GO_ON, Machine, OperatingSystem
from jitgate.core.resource_id import key

PROVIDER = "azure"
LITTLE_ROOM = 50
FEW_ADDRESSES = 200
"""So few of its rules, or of the addresses in them, are left to a group that this is told."""
_GO_ON = "a network security group lets established connections go on when their rule is gone"
_GO_ON_BEHIND_FIREWALL = f"{_GO_ON}; those through the firewall end once it has taken its rule away, minutes later"
_SYSTEMS = {"linux": OperatingSystem.LINUX, "windows": OperatingSystem.WINDOWS}


def machines(topology: Topology, connector: str, *, lets_bastion_in: bool) -> list[Machine]:
    """All machines of a topology, in the order of their ids, those that cannot be protected with the reason."""
    found = [_machine(place, topology, connector, lets_bastion_in) for place in topology.places.values()]
    found += [_classic(body, connector) for body in topology.classic]
    return sorted(found, key=lambda machine: machine.key)


def why_unsupported(place: Place) -> str:
    """Why a machine cannot have just-in-time access; "" if it can."""
    if not place.interfaces:
        return "It has no network interface."
    managed = next((each.firewall for each in place.interfaces if each.firewall and each.firewall.managed), None)
    if managed is not None:
        return (
            f"The Azure Firewall {managed.name} in front of it is governed by {managed.managed}. "
            "Only classic rules can be changed here."
        )
    open_ones = [each for each in place.interfaces if not each.path and each.firewall is None]
    return _why_open(open_ones[0]) if open_ones else ""


def notices(place: Place, topology: Topology, *, lets_bastion_in: bool) -> Iterator[str]:
    """What a person should know of what is in front of a machine, with what to do about it."""
    for interface in place.interfaces:
        if interface.elsewhere and interface.path:
            yield (
                f"The Azure Firewall {interface.elsewhere} is in another network, so it does not count: "
                "the network security group alone is used."
            )
        if interface.firewall:
            yield (
                f"From the Internet it is reached by the Azure Firewall {interface.firewall.name}, at a port of that; "
                "opening takes minutes, and closing begins as much ahead of the end. A request says how many, by what "
                "was measured; until then five are assumed."
            )
        if interface.firewall and not interface.path:
            yield (
                f"There is no network security group behind the Azure Firewall {interface.firewall.name}: "
                "ports are shut to the Internet only, not to the network that the machine is in."
            )
        if not lets_bastion_in and interface.network in topology.bastions and interface.path:
            prefixes = ", ".join(topology.bastions[interface.network])
            yield (
                f"Azure Bastion (from {prefixes}) is shut out of protected ports. To let it in, give the connector the "
                "setting bastion=allow."
            )
    for group in place.groups:
        yield from _about_group(topology.nsgs[group], topology)


def _about_group(nsg: Nsg, topology: Topology) -> Iterator[str]:
    lock = topology.lock_on(nsg.id)
    if lock == "ReadOnly":
        yield f"{nsg.name} is locked read-only: no port can be shut or opened there. Remove the lock."
    elif lock:
        yield (
            f"A lock forbids deleting in {nsg.name}: what is shut there is turned to a deny and stays as a rule. "
            "Remove the lock to have such rules go."
        )
    if len(nsg.rules) > MOST_RULES - LITTLE_ROOM:
        yield f"{nsg.name} has {len(nsg.rules)} of {MOST_RULES} possible rules: opening may fail for want of room."
    held = sum(len(rule.sources) for rule in nsg.rules.values())
    if held > MOST_PREFIXES - FEW_ADDRESSES:
        yield f"{nsg.name} holds {held} of {MOST_PREFIXES} possible addresses: opening may fail for want of room."
    if any(is_microsofts(rule.name, rule.description) for rule in nsg.rules.values()):
        yield (
            f"{nsg.name} holds rules of Microsoft's own just-in-time access. Remove its policy for this machine, "
            "so that one of the two decides."
        )


def _machine(place: Place, topology: Topology, connector: str, lets_bastion_in: bool) -> Machine:
    addresses = [each for interface in place.interfaces for each in interface.addresses]
    public = [each.public for each in addresses if each.public]
    return Machine(
        uuid=place.uuid,
        id=place.id,
        name=place.name,
        os=_SYSTEMS.get(place.os, OperatingSystem.UNKNOWN),
        connector=connector,
        provider=PROVIDER,
        scope=place.scope,
        location=place.location,
        addresses=(*public, *(each.private for each in addresses)),
        tags=dict(place.tags),
        unsupported=why_unsupported(place),
        facts=_facts(place, list(dict.fromkeys(notices(place, topology, lets_bastion_in=lets_bastion_in)))),
    )


def _facts(place: Place, told: Sequence[str]) -> Mapping[str, Any]:
    firewall = place.firewall
    return {
        "securityGroups": [group.rpartition("/")[2] for group in place.groups],
        "firewall": firewall.name if firewall else "",
        "interfaces": [_interface_facts(each) for each in place.interfaces],
        SESSIONS_GO_ON: _GO_ON_BEHIND_FIREWALL if firewall else _GO_ON,
        "notices": list(told),
    }


def _interface_facts(interface: Interface) -> Mapping[str, Any]:
    return {
        "name": interface.id.rpartition("/")[2],
        "private": [each.private for each in interface.addresses],
        "public": [each.public for each in interface.addresses if each.public],
    }


def _why_open(interface: Interface) -> str:
    name = interface.id.rpartition("/")[2]
    if interface.elsewhere:
        return (
            f"The interface {name} has no network security group, nor has its subnet; and the Azure Firewall "
            f"{interface.elsewhere} is in another network."
        )
    return (
        f"The interface {name} has no network security group, nor has its subnet, and no Azure Firewall is in front of "
        "it. One of them is needed."
    )


def _classic(body: Mapping[str, Any], connector: str) -> Machine:
    """A machine of the old deployment model, under an id that Azure's own machines cannot have."""
    return Machine(
        uuid=key(body["id"]),
        id=_arm_id(body["id"]),
        name=body["name"],
        os=OperatingSystem.UNKNOWN,
        connector=connector,
        provider=PROVIDER,
        scope=key(body["id"]),
        location=key(body.get("location", "global")),
        unsupported="It is a classic machine; just-in-time access needs one deployed by Azure Resource Manager.",
    )


def _arm_id(id: str) -> str:
    before, _, name = id.rpartition("/")
    return f"{key(before).partition('/providers/')[0]}/providers/Microsoft.Compute/virtualMachines/{name}"
