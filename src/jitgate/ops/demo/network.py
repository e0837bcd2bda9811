"""Machines and clients of the demo: network namespaces (network_namespaces(7)) around one that routes between them.

::

    web-1 192.0.2.11 ──┐           ┌── alice 198.51.100.7
                       ├── router ─┤
    db-1  192.0.2.12 ──┘           └── bob   203.0.113.9

The addresses are those that are kept free for examples (RFC 5737, RFC 3849). They exist inside these namespaces only.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jitgate.connectors.hosts.netns import run_inside
from jitgate.core.errors import Unavailable
from jitgate.ops.demo import traces

ROUTER = "router"
_GATEWAYS = ("192.0.2.1", "2001:db8::1")
_MAY_TAKE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Node:
    """A machine or a client, and its IPv4 and IPv6 address. `namespace`: as ``ip netns list`` shows it."""

    name: str
    addresses: tuple[str, str]
    namespace: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Network:
    """Everybody who is there."""

    web: Node
    db: Node
    alice: Node
    bob: Node

    @property
    def machines(self) -> Sequence[Node]:
        return (self.web, self.db)

    @property
    def clients(self) -> Sequence[Node]:
        return (self.alice, self.bob)


def build(pid: int) -> Network:
    """Make the namespaces and join them. Raises Unavailable."""
    router = traces.namespace(pid, ROUTER)
    network = Network(
        _node(pid, "web-1", "192.0.2.11", "2001:db8::11"),
        _node(pid, "db-1", "192.0.2.12", "2001:db8::12"),
        _node(pid, "alice", "198.51.100.7", "2001:db8:a::7"),
        _node(pid, "bob", "203.0.113.9", "2001:db8:b::9"),
    )
    nodes = (*network.machines, *network.clients)
    for name in (router, *(node.namespace for node in nodes)):
        ip("netns", "add", name)
        _set(name, "ipv6/conf/all/disable_ipv6", "0")
        ip("-n", name, "link", "set", "lo", "up")
    _set(router, "ipv4/ip_forward", "1")
    _set(router, "ipv6/conf/all/forwarding", "1")
    for node in nodes:
        _join(router, node)
    return network


def ip(*arguments: str, commands: str | None = None) -> str:
    """What ip(8) says; `commands` go to a batch. Raises Unavailable."""
    try:
        done = subprocess.run(
            ["ip", *arguments], input=commands, capture_output=True, text=True, check=False, timeout=_MAY_TAKE_SECONDS
        )
    except OSError as error:
        raise Unavailable(f"The program ip cannot be run ({error.strerror}): install iproute2.") from None
    if done.returncode != 0:
        raise Unavailable(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _node(pid: int, name: str, address4: str, address6: str) -> Node:
    return Node(name, (address4, address6), traces.namespace(pid, name))


def _join(router: str, node: Node) -> None:
    """A link from the router to a node, on which each knows the way to the other's addresses."""
    ours = [f"link add {node.name} type veth peer name eth0 netns {node.namespace}"]
    ours += _reach(_GATEWAYS, node.addresses, node.name)
    theirs = _reach(node.addresses, _GATEWAYS, "eth0")
    theirs += [f"route add default via {gateway}" for gateway in _GATEWAYS]
    ip("-n", router, "-batch", "-", commands="\n".join(ours))
    ip("-n", node.namespace, "-batch", "-", commands="\n".join(theirs))


def _reach(own: tuple[str, str], other: tuple[str, str], device: str) -> list[str]:
    # Looking for a duplicate of an IPv6 address takes a second, in which the address does not work.
    addresses = [f"addr add {each} dev {device}{' nodad' if ':' in each else ''}" for each in own]
    return [*addresses, f"link set {device} up", *(f"route add {each} dev {device}" for each in other)]


def _set(namespace: str, setting: str, value: str) -> None:
    """One of the namespace's settings below /proc/sys/net. Raises Unavailable."""
    path = Path("/proc/sys/net", setting)
    try:
        run_inside(namespace, lambda: path.write_text(value, "ascii"))
    except OSError as error:
        raise Unavailable(f"{path} cannot be set in {namespace}: {error.strerror}.") from None
