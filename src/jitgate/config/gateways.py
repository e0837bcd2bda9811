"""``[[gateway]]`` in ``jitgate.toml``: TCP gateways, and the machines behind them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from jitgate.config.schema import required, sections, setting
from jitgate.config.values import (
    read_address,
    read_addresses,
    read_name,
    read_os,
    read_place,
    read_ports,
    read_tags,
    whole,
)
from jitgate.core.errors import Invalid
from jitgate.core.machine import OperatingSystem
from jitgate.core.resource_id import key

_connections = whole(1, 1 << 16)


@dataclass(frozen=True, slots=True)
class GatewayMachine:
    """A machine that cannot run an agent. `address`: where the gateway finds it."""

    name: str = required(
        read_name, "The machine's name in jitgate. Each name once, in any letter case.", example='"win-1"'
    )
    address: str = required(read_address, "The IP address where the gateway finds it.", example='"10.0.0.5"')
    os: OperatingSystem = setting(
        read_os,
        '`"windows"`, `"linux"` or `"unknown"`: `jitgate enable` protects port 3389 on Windows, else 22.',
        default='"unknown"',
    )
    tags: Mapping[str, str] = setting(
        read_tags, 'Names and values that guardrails can select by: `{ team = "erp" }`.', default="{}"
    )


@dataclass(frozen=True, slots=True)
class Gateway:
    """A TCP gateway on the machine that jitgate runs on. `ports`: the first and the last mapped port."""

    name: str = required(read_name, "The gateway's name. Each name once.", example='"edge"')
    address: str = required(
        read_place,
        "Where people connect to: an address or a name that leads to this machine.",
        example='"203.0.113.5"',
    )
    listen: tuple[str, ...] = setting(
        read_addresses,
        "Addresses of this machine to listen on. Empty: all, IPv4 and IPv6.",
        "While nobody has a grant nothing listens.",
        default="[]",
    )
    ports: tuple[int, int] = setting(
        read_ports,
        "The first and the last mapped port, above 1023: one for each protected port.",
        "A protected port keeps its mapped port for ever; one is used again only when all are given.",
        default='"40000-40999"',
    )
    probe_from: tuple[str, ...] = setting(
        read_addresses,
        "Addresses of this machine that the machines behind must not admit, to prove that they admit the gateway only.",
        "Empty: nothing is proven, and their ports count as exposed.",
        default="[]",
    )
    most_connections: int = setting(
        _connections,
        "How many connections there may be at once, 1 to 65536.",
        "Where the process may have fewer file descriptors, that is the limit: two for each connection.",
        default="4096",
    )
    most_per_source: int = setting(_connections, "How many of them from one address.", default="256")
    machines: tuple[GatewayMachine, ...] = sections(
        GatewayMachine,
        "machine",
        "The machines behind the gateway above it. Their names share one list with the hosts'.",
    )

    def check(self, name: Callable[[str], str]) -> None:
        """A gateway leads somewhere. Raises Invalid."""
        if not self.machines:
            allowed = "[[gateway.machine]]"
            raise Invalid(name("machine"), "there is no machine behind this gateway", allowed=allowed)


def check_gateways(gateways: Sequence[Gateway], hosts: Collection[str]) -> None:
    """A machine has one firewall or gateway in front of it, so names are unique, also among `hosts`. Raises Invalid."""
    names = {key(host): "a host" for host in hosts}
    for index, gateway in enumerate(gateways):
        for number, machine in enumerate(gateway.machines):
            path = f"gateway[{index}].machine[{number}]"
            if (used := names.setdefault(key(machine.name), path)) != path:
                raise Invalid(f"{path}.name", f"{machine.name!r} is already {used}", allowed="each name once")
