"""A host with an enforcer, two clients, and words for what the tests want."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from tests.netns import Network

from jitgate.clock import Clock, SystemClock
from jitgate.connectors.base import Report
from jitgate.connectors.hosts.enforcer import Enforcer
from jitgate.core.desired import AccessKey, Desired, PortKey, Protection, Protocol, SessionEnd
from jitgate.core.prefixes import Prefix

MACHINE = "7b1c9f0e-4c1d-4a55-9f0b-0d3c8a5e2f11"
SCOPE = "host/test"
PORT = 2222

KEEP = Protection(SessionEnd.KEEP)
END = Protection(SessionEnd.END)


def key(prefix: str, port: int = PORT, protocol: Protocol = Protocol.TCP) -> AccessKey:
    return AccessKey(MACHINE, port, protocol, Prefix(prefix))


def port_key(port: int = PORT, protocol: Protocol = Protocol.TCP) -> PortKey:
    return PortKey(MACHINE, port, protocol)


def both(protection: Protection, port: int = PORT) -> dict[PortKey, Protection]:
    """TCP and UDP of one port."""
    return {port_key(port, protocol): protection for protocol in (Protocol.TCP, Protocol.UDP)}


class Scene:
    """`enforcer` is the one that serves now; `restart` replaces it, and `reports` is what they told unasked."""

    def __init__(self, network: Network, state_dir: Path) -> None:
        self.network = network
        self.state_dir = state_dir
        self.clock: Clock = SystemClock()
        self.always: tuple[Prefix, ...] = ()
        self.ports: dict[PortKey, Protection] = both(KEEP)
        self.reports: list[Report] = []
        self.generation = 0
        self._serving: Enforcer | None = None

    @property
    def enforcer(self) -> Enforcer:
        assert self._serving is not None, "start it first"
        return self._serving

    def start(self, machine: str = MACHINE) -> Report:
        self._serving = Enforcer(
            SCOPE, machine, self.network.host.name, self.state_dir, self.clock, self.always, self.reports.append
        )
        return self._serving.start()

    def restart(self) -> Report:
        self.close()
        return self.start()

    def close(self) -> None:
        if self._serving is not None:
            self._serving.close()
            self._serving = None

    def ask(
        self,
        access: Mapping[AccessKey, datetime | None] | None = None,
        *,
        cut: Mapping[AccessKey, datetime] | None = None,
        complete: bool = False,
        generation: int | None = None,
    ) -> Report:
        """Sync with the next generation, unless told another."""
        self.generation = self.generation + 1 if generation is None else generation
        worked_out = self.clock.elapsed()
        desired = Desired(
            SCOPE,
            self.generation,
            self.clock.wall(),
            frozenset({MACHINE}),
            self.ports,
            access or {},
            cut or {},
            complete,
        )
        return self.enforcer.sync(desired, worked_out)

    def open(self, *prefixes: str, seconds: float = 600, protocol: Protocol = Protocol.TCP) -> datetime:
        """Open the port from these; their end."""
        end = self.clock.wall() + timedelta(seconds=seconds)
        self.ask({key(prefix, protocol=protocol): end for prefix in prefixes})
        return end

    def shut(self, *prefixes: str, protocol: Protocol = Protocol.TCP) -> Report:
        return self.ask({key(prefix, protocol=protocol): None for prefix in prefixes})

    def ruleset(self) -> str:
        """What nft shows of our table."""
        return self.network.host.run("nft", "list", "table", "inet", "jitgate")

    def tables(self) -> str:
        return self.network.host.run("nft", "list", "tables")
