"""How long it takes to work out who reaches the machines of a subscription."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from bench.figures import Row, number
from jitgate.core.desired import Protocol
from jitgate.core.exposure.azure import Analysis, Subscription
from jitgate.core.machine import MANAGEMENT_PORTS

RULES = 100
_NETWORK = "/subscriptions/bench/resourceGroups/bench/providers/Microsoft.Network"
_SUBNET = f"{_NETWORK}/virtualNetworks/net/subnets/all"
_PORTS = ("22", "3389", "20-30", "443", "8000-9000")


def measure(machines: int) -> Iterator[Row]:
    """Seconds of processor time, with a group of rules for each machine, and with one for a hundred."""
    own, shared = _seconds(machines, machines), _seconds(machines, max(1, machines // 100))
    yield Row(
        f"exposure of {machines:,} machines, {RULES} rules each, four ports",
        f"{number(own)} s",
        own,
        "s",
        f"a hundred share one group: {number(shared)} s",
    )


def _seconds(machines: int, groups: int) -> float:
    told = _subscription(machines, groups)
    ports = [(port, Protocol.TCP) for port in MANAGEMENT_PORTS]
    began = time.process_time()
    analysis = Analysis(told)
    found = sum(bool(analysis.exposures([each["id"]], ports)) for each in told.interfaces)
    taken = time.process_time() - began
    if found != machines:
        raise RuntimeError(f"{found} of {machines} machines are exposed, and all of them should be")
    return taken


def _subscription(machines: int, groups: int) -> Subscription:
    address = {"id": f"{_NETWORK}/publicIPAddresses/p", "sku": {"name": "Standard"}}
    subnet = {"id": _SUBNET, "name": "all", "properties": {}}
    network = {
        "id": f"{_NETWORK}/virtualNetworks/net",
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/8"]}, "subnets": [subnet]},
    }
    return Subscription(
        groups=[_group(number) for number in range(groups)],
        networks=[network],
        interfaces=[_interface(number, number % groups, address["id"]) for number in range(machines)],
        public_addresses=[address],
    )


def _group(number: int) -> Mapping[str, Any]:
    return {
        "id": f"{_NETWORK}/networkSecurityGroups/n{number}",
        "name": f"n{number}",
        "properties": {"securityRules": [_rule(number, index) for index in range(RULES)]},
    }


def _rule(group: int, index: int) -> Mapping[str, Any]:
    return {
        "name": f"r{index}",
        "properties": {
            "direction": "Inbound",
            "access": "Deny" if index % 3 else "Allow",
            "priority": 100 + index,
            "protocol": "Tcp" if index % 2 else "*",
            "sourceAddressPrefixes": [f"198.{(group + index) % 200}.{index}.0/24", f"203.{index}.113.{group % 250}"],
            "destinationAddressPrefix": "*",
            "destinationPortRange": _PORTS[index % len(_PORTS)],
            "sourcePortRange": "*",
        },
    }


def _interface(number: int, group: int, public: object) -> Mapping[str, Any]:
    address = {
        "privateIPAddress": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        "subnet": {"id": _SUBNET},
        "publicIPAddress": {"id": public},
    }
    return {
        "id": f"{_NETWORK}/networkInterfaces/i{number}",
        "properties": {
            "networkSecurityGroup": {"id": f"{_NETWORK}/networkSecurityGroups/n{group}"},
            "ipConfigurations": [{"properties": address}],
        },
    }
