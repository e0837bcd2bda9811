"""Where stories play: four machines behind four kinds of firewall, two clients, and the servers, all real processes.

::

                      hub: the servers, and what Azure's security groups are in force in
        ┌────────┬────────┬─────────┼──────────┬──────────┐
      web-1    db-1     edge ───> win-1       vm-1     carol, dave
      agent    agent    gateway               no agent   who knock at every port
      elsewhere beside the first server       its firewall is in the cloud

`SQLITE`: one server, its database on a small disk. `POSTGRESQL`: two replicas behind a balancer, the database on it.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos import world
from tests.chaos.balancer import Balancer
from tests.chaos.parts import Disk, Remote, Replica
from tests.chaos.story import POSTGRESQL
from tests.chaos.world import MACHINES, PORTS
from tests.netns import HOST4, Namespace, Network
from tests.postgresql import Cluster
from tests.processes import share_keys

from jitgate.clock import SystemClock
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.data_plane import DataPlane
from jitgate.testing.azure.scene import SUBSCRIPTION, rule
from jitgate.testing.azure.scene import Scene as Azure
from jitgate.testing.azure.server import serve

# What was answered must be there after `stop immediate`; what is written need not survive the machine.
_DURABLE = ("fsync=off", "max_connections=100", "listen_addresses=", "min_wal_size=32MB", "max_wal_size=64MB")
_SETTINGS = """\
[server]
allowed_hosts = ["{address}"]

[[host]]
name = "{name}"
namespace = "{namespace}"
"""

_ADMITS_THE_GATEWAY_ALONE = f"""\
table inet own {{
chain input {{
    type filter hook input priority 0; policy accept;
    ip saddr != {world.ADDRESSES["edge"]} tcp flags syn reject with tcp reset
}}
}}
"""


class Scene:
    """Built when entered, and torn down, however it has fared, when left."""

    def __init__(self, house: str, directory: Path) -> None:
        self.house = house
        self.replicas: list[Replica] = []
        self.cluster: Cluster | None = None
        self.database = ""
        self.doors: dict[tuple[str, int], tuple[str, int]] = {}
        self.places: dict[str, Namespace] = {}
        self.arm = Arm(SystemClock())
        self._directory = directory
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._build()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def hub(self) -> Namespace:
        return self.network.host

    @property
    def remotes(self) -> tuple[Remote, Remote]:
        """What nobody starts again but the scene: the agent elsewhere, and the gateway."""
        return self.agent, self.gateway

    def logs(self) -> list[Path]:
        """What its processes have said, as files."""
        return [*self._directory.glob("*.log"), *self._directory.glob("disk/jg-pg-*/log")]

    def is_held(self, machine: str) -> bool:
        """Whether a host's table belongs to an agent that lives, and so to nobody else's hands."""
        return "flags owner" in self.places[machine].nft("list ruleset")

    # --- building -------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.network = self._stack.enter_context(Network())
        self.places = {"web-1": self.network.alice, "db-1": self.network.bob}
        for name, number in (("edge", 5), ("win-1", 6), ("vm-1", 7), *world.NUMBERS.items()):
            self.places[name] = self.network.add(name, number)
        for machine in MACHINES:
            for port in PORTS:
                self._stack.enter_context(self.places[machine].listen(port))
        self.places["edge"].ip(f"addr add {world.AROUND}/24 dev eth0")
        self.places["win-1"].nft(_ADMITS_THE_GATEWAY_ALONE)
        self.disk = Disk(self._directory / "disk", 256 if self.house == POSTGRESQL else 64)
        self._stack.callback(self.disk.close)
        self._build_cloud()
        self._start_servers()
        self._join()
        self._connect()

    def _build_cloud(self) -> None:
        azure = Azure(self.arm, group="jitgate")
        group = azure.nsg("group", rule("from-anywhere", 300, ports=[str(port) for port in PORTS]))
        subnet = azure.subnet(azure.vnet("net", "10.71.7.0/24"), "default", "10.71.7.0/24", nsg=group)
        azure.vm("vm-1", azure.nic("vm-1-nic", subnet, world.ADDRESSES["vm-1"]))
        plane = DataPlane(self.arm.world, self.hub.name, self.hub.name)
        plane.sync()
        self.arm.after = plane.sync
        self._cloud = self.hub.inside(lambda: self._stack.enter_context(serve(self.arm)))

    def _start_servers(self) -> None:
        if self.house == POSTGRESQL:
            self._directory.chmod(0o711)  # PostgreSQL runs as somebody else.
            self.cluster = Cluster(_DURABLE, str(self.disk.path))
            self._stack.callback(self.cluster.close)
            self.database = self.cluster.url(self.cluster.create(self.cluster.migrated()))
        database = self.database
        self._add_replica("first", "db-1", self.places["db-1"], database)
        self.url = self.replicas[0].url
        if not database:
            return
        self.balancer = self._stack.enter_context(Balancer(self.hub, HOST4))
        spare = self._stack.enter_context(Namespace("spare"))
        self._add_replica("second", "spare", spare, database)
        for replica in self.replicas:
            self.balancer.add(replica.port)
        self.url = f"https://{HOST4}:{self.balancer.port}"

    def _add_replica(self, name: str, host: str, namespace: Namespace, database: str) -> None:
        settings = _SETTINGS.format(address=HOST4, name=host, namespace=namespace.name)
        made = Replica(self.disk.path / name, self.hub, settings, self._directory, database)
        for first in self.replicas:
            share_keys(first, made)
        self.replicas.append(self._stack.push(made))  # Before it starts: a start that fails leaves something, too.
        made.start()

    def _join(self) -> None:
        server = self.replicas[0]
        self.agent = Remote(self.places["web-1"], self._directory / "web-1", "web-1")
        self.gateway = Remote(self.places["edge"], self._directory / "edge", "edge", "jitgate.main", "gateway")
        door = world.ADDRESSES["edge"]
        self.agent.become_member(server, self.url)
        behind = f"win-1={world.ADDRESSES['win-1']}"
        where = ("--address", door, "--listen", door, "--machine", behind, "--probe-from", world.AROUND)
        self.gateway.become_member(server, self.url, *where)
        for remote in self.remotes:
            self._stack.enter_context(remote)
            remote.start()

    def _connect(self) -> None:
        settings = {"endpoint": self._cloud, "credential": "none"}
        body = {"kind": "azure", "subscription": SUBSCRIPTION, "settings": settings}
        self.replicas[0].call("PUT", "/api/v1/connectors/cloud", body)
