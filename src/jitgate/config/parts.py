"""Which part of the house one process is: what `jitgate serve --role` says."""

from enum import StrEnum


class Part(StrEnum):
    """What one replica does. All but `ALL` need a database that replicas can share.

    `WEB`     answers people and programs
    `AGENTS`  answers the agents of hosts elsewhere, and holds their firewalls by them
    `WORKER`  holds the firewalls of clouds and those beside it, and does what one does for all: seal, notify, remind
    """

    ALL = "all"
    WEB = "web"
    WORKER = "worker"
    AGENTS = "agents"

    @property
    def answers_clients(self) -> bool:
        return self in (Part.ALL, Part.WEB)

    @property
    def answers_agents(self) -> bool:
        return self in (Part.ALL, Part.AGENTS)

    @property
    def works(self) -> bool:
        """Whether clouds, and hosts and gateways beside it, are its own."""
        return self in (Part.ALL, Part.WORKER)

    @property
    def reconciles(self) -> bool:
        """Whether it reaches any firewall."""
        return self is not Part.WEB
