"""The fake's rules in force: two network namespaces between clients and machines, filtered by nftables.

`edge` translates public addresses, and is the Azure Firewall: DNAT, with its own private address as the source.
`fabric` behind it filters by the security groups, which so see what Azure's see. What is compiled is what is effective:
a change counts when its operation has ended well.
"""

from jitgate.testing.azure import edge, fabric
from jitgate.testing.azure.world import World
from jitgate.testing.nftables import Filters


class DataPlane:
    """Keeps the firewalls of two namespaces, by their names, as a fake says. `sync` after changes, or now and then.

    Where there is no Azure Firewall, one namespace can be both.
    """

    def __init__(self, world: World, edge_namespace: str, fabric_namespace: str) -> None:
        self._world = world
        self._edge, self._fabric = edge_namespace, fabric_namespace
        self._filters = Filters()

    def sync(self) -> None:
        """Load what is effective now, where it has changed. Raises CalledProcessError when nft refuses."""
        self._world.settle()
        self._filters.load(self._edge, "edge", edge.compiled(self._world))
        self._filters.load(self._fabric, "fabric", fabric.compiled(self._world))
