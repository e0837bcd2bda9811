"""``[[gateway]]`` in ``jitgate.toml``: TCP gateways, and the machines behind them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgate.config.table import Table, read_addresses, read_one_address, read_tags, read_text, read_whole
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.core.resource_id import check_name, key

_MOST = 1 << 16
_LABEL = "[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_PORTS = re.compile(r"([0-9]{4,5})-([0-9]{4,5})")


@dataclass(frozen=True, slots=True)
class GatewayMachine:
    """A machine that cannot run an agent. `address`: where the gateway finds it."""

    name: str
    address: str
    os: OperatingSystem = OperatingSystem.UNKNOWN
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A TCP gateway on the machine that jitgate runs on.

    `address`          where people connect to: an IP address, or a name
    `listen`           the addresses that it listens on; empty: all
    `ports`            the first and the last mapped port
    `probe_from`       addresses of this machine that the machines behind it must not admit
    `most_connections` at once, and `most_per_source` of them from one address
    """

    name: str
    address: str
    machines: tuple[GatewayMachine, ...]
    listen: tuple[str, ...] = ()
    ports: tuple[int, int] = (40000, 40999)
    probe_from: tuple[str, ...] = ()
    most_connections: int = 4096
    most_per_source: int = 256


def read_gateway(table: Table) -> Gateway:
    """One gateway with its machines. Raises Invalid."""
    found = Gateway(
        name=table.require("name", lambda value, path: check_name(read_text(value, path), path)),
        address=table.require("address", _read_address),
        listen=table.take("listen", (), read_addresses),
        ports=table.take("ports", (40000, 40999), _read_ports),
        probe_from=table.take("probe_from", (), read_addresses),
        most_connections=table.take("most_connections", 4096, lambda value, path: read_whole(value, path, 1, _MOST)),
        most_per_source=table.take("most_per_source", 256, lambda value, path: read_whole(value, path, 1, _MOST)),
        machines=tuple(map(_read_machine, table.tables("machine"))),
    )
    if not found.machines:
        raise Invalid(table.name("machine"), "there is no machine behind this gateway", allowed="[[gateway.machine]]")
    table.finish()
    return found


def check_gateways(gateways: Sequence[Gateway], hosts: Collection[str]) -> None:
    """A machine has one firewall or gateway in front of it, so names are unique, also among `hosts`. Raises Invalid."""
    names = {key(host): "a host" for host in hosts}
    known: dict[str, int] = {}
    for index, gateway in enumerate(gateways):
        earlier = known.setdefault(key(gateway.name), index)
        if earlier != index:
            what = f"{gateway.name!r} is already gateway[{earlier}]"
            raise Invalid(f"gateway[{index}].name", what, allowed="each name once")
        for number, machine in enumerate(gateway.machines):
            path = f"gateway[{index}].machine[{number}]"
            if (used := names.setdefault(key(machine.name), path)) != path:
                raise Invalid(f"{path}.name", f"{machine.name!r} is already {used}", allowed="each name once")


def _read_machine(table: Table) -> GatewayMachine:
    found = GatewayMachine(
        name=table.require("name", lambda value, path: check_name(read_text(value, path), path)),
        address=table.require("address", read_one_address),
        os=table.take("os", OperatingSystem.UNKNOWN, _read_os),
        tags=table.take("tags", {}, read_tags),
    )
    table.finish()
    return found


def _read_address(value: Any, path: str) -> str:
    """An address, or a name that has one."""
    name = read_text(value, path)
    return name if _HOST_NAME.fullmatch(name) else read_one_address(name, path)


def _read_ports(value: Any, path: str) -> tuple[int, int]:
    found = _PORTS.fullmatch(read_text(value, path))
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1024 <= first <= last <= 65535:
        raise Invalid(path, f"{value!r:.60} is not accepted", allowed='"40000-40999": first and last, above 1023')
    return first, last


def _read_os(value: Any, path: str) -> OperatingSystem:
    try:
        return OperatingSystem(value)
    except ValueError:
        raise Invalid(path, f"{value!r:.60} is not accepted", allowed='"windows", "linux" or "unknown"') from None
