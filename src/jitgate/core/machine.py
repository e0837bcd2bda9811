"""Machines: what has ports to protect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from jitgate.core.exposure import Exposure
from jitgate.core.resource_id import key

FLEET = "fleet"
"""The connector of all hosts elsewhere that have joined."""

SESSIONS_GO_ON = "sessionsGoOn"
"""The fact of a machine whose firewall cannot end established sessions: what becomes of them, for people."""

SILENT_AFTER = timedelta(seconds=60)
"""A host elsewhere that has not been heard for longer is silent: what its ports do now is not known."""


class Joins(StrEnum):
    """What joins from elsewhere: a host that holds its own firewall, or a gateway in front of machines."""

    HOST = "host"
    GATEWAY = "gateway"


class OperatingSystem(StrEnum):
    """What runs on a machine, as far as its default port depends on it."""

    LINUX = "linux"
    WINDOWS = "windows"
    UNKNOWN = "unknown"


DEFAULT_PORTS: Mapping[OperatingSystem, int] = {
    OperatingSystem.LINUX: 22,
    OperatingSystem.WINDOWS: 3389,
    OperatingSystem.UNKNOWN: 22,
}
"""The port that "enable with the defaults" protects (article: a machine's own Configuration page)."""

MANAGEMENT_PORTS: Mapping[int, str] = {22: "SSH", 3389: "RDP", 5985: "WinRM", 5986: "WinRM (TLS)"}
"""The ports that are recommended for protection, with the service that people know them by."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as its connector tells it.

    `uuid`         this incarnation; a machine made again under the same id gets another
    `id`           its ARM id, in the spelling it was told in
    `provider`     what kind of place it runs in: azure, aws, host, gateway or memory
    `scope`        the firewall in front of it
    `unsupported`  "" or why it cannot have just-in-time access
    `facts`        what else the connector found out; JSON, for people
    `uncovered`    "" or the plan that it is under, which has no just-in-time access
    `exposure`     who reaches its ports without a grant
    """

    uuid: str
    id: str
    name: str
    os: OperatingSystem
    connector: str
    provider: str
    scope: str
    location: str = "global"
    addresses: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    unsupported: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    uncovered: str = ""
    exposure: Sequence[Exposure] = ()

    @property
    def key(self) -> str:
        """What the machine's id is compared by."""
        return key(self.id)

    @property
    def sessions_go_on(self) -> str:
        """What becomes of established sessions here when access ends, where they cannot be cut; else ""."""
        return str(self.facts.get(SESSIONS_GO_ON, ""))

    @property
    def is_tcp_only(self) -> bool:
        """Whether no UDP can get to it: a gateway relays TCP only."""
        return self.provider == "gateway"
