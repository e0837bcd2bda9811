"""Namespaces for the data plane of the fake: clients on the Internet, the edge, the fabric, and machines behind it.

alice 198.51.100.7, 2001:db8:a::7 ─┐                             ┌─ web 10.0.1.4, fd00:1::4
                                   ├─ edge ──────────── fabric ──┤
bob   192.0.2.9, 2001:db8:b::9 ────┘                             └─ other 10.0.9.9, fd00:9::9
"""

from types import TracebackType
from typing import Self

from tests.netns import Namespace

from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.data_plane import DataPlane

ALICE, BOB = ("198.51.100.7", "2001:db8:a::7"), ("192.0.2.9", "2001:db8:b::9")
WEB, OTHER = ("10.0.1.4", "fd00:1::4"), ("10.0.9.9", "fd00:9::9")


class Cloud:
    """A context manager; everything that it made goes when it ends."""

    plane: DataPlane

    def __init__(self) -> None:
        self._made: list[Namespace] = []
        try:
            self.edge, self.fabric = self._router("edge"), self._router("fabric")
            self.alice, self.bob = self._behind(self.edge, "alice", *ALICE), self._behind(self.edge, "bob", *BOB)
            self.web = self._behind(self.fabric, "web", *WEB)
            self.other = self._behind(self.fabric, "other", *OTHER)
            self._join_routers()
            self._wait()
        except BaseException:
            self.close()
            raise

    def follow(self, arm: Arm) -> None:
        """Let packets pass as this fake says, from now on."""
        self.plane = DataPlane(arm.world, self.edge.name, self.fabric.name)
        self.plane.sync()

    def close(self) -> None:
        for each in self._made:
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _namespace(self, label: str) -> Namespace:
        made = Namespace(label)
        self._made.append(made)
        return made

    def _router(self, label: str) -> Namespace:
        made = self._namespace(label)
        made.set("ipv4/ip_forward", "1")
        made.set("ipv6/conf/all/forwarding", "1")
        return made

    def _behind(self, router: Namespace, label: str, address4: str, address6: str) -> Namespace:
        """A namespace with a link of its own to a router."""
        made = self._namespace(label)
        link = f"fd71:{len(self._made)}:"
        router.ip(
            f"link add {label} type veth peer name eth0 netns {made.name}",
            f"addr add 169.254.1.1/32 dev {label}",
            f"addr add {link}:1/64 dev {label} nodad",
            f"link set {label} up",
            f"route add {address4}/32 dev {label}",
        )
        made.ip(
            f"addr add {address4}/32 dev eth0",
            f"addr add {link}:2/64 dev eth0 nodad",
            f"addr add {address6}/128 dev eth0 nodad",
            "link set eth0 up",
            "route add 169.254.1.1/32 dev eth0",
            f"route add default via 169.254.1.1 src {address4}",
            f"route add default via {link}:1 src {address6}",
        )
        router.ip(f"route add {address6}/128 via {link}:2")
        return made

    def _join_routers(self) -> None:
        self.edge.ip(
            f"link add in type veth peer name out netns {self.fabric.name}",
            "addr add 10.255.0.1/30 dev in",
            "addr add fd00:ffff::1/64 dev in nodad",
            "link set in up",
        )
        self.fabric.ip(
            "addr add 10.255.0.2/30 dev out",
            "addr add fd00:ffff::2/64 dev out nodad",
            "link set out up",
            "route add default via 10.255.0.1",
            "route add default via fd00:ffff::1",
        )
        self.edge.ip("route add 10.0.0.0/16 via 10.255.0.2", "route add fd00::/16 via fd00:ffff::2")

    def _wait(self) -> None:
        """Until IPv6 passes: a link that is new takes up to a second to find its neighbours."""
        for client in (self.alice, self.bob):
            for address in (WEB[1], OTHER[1]):
                client.can_connect(address, 9, timeout=30)
