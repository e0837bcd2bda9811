"""What is asked of Azure to know a subscription: eleven lists. Of machines, Azure tells fifty a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
COMPUTE, NETWORK, LOCKS, CLASSIC = "2024-07-01", "2024-05-01", "2020-05-01", "2017-04-01"


@dataclass(frozen=True, slots=True)
class List:
    """One list. `path` is below the subscription. `is_optional`: a subscription need not have such things at all, and
    then may not even know the word."""

    path: str
    version: str
    is_optional: bool = False


LISTS: Mapping[str, List] = {
    "machines": List("providers/Microsoft.Compute/virtualMachines", COMPUTE),
    "interfaces": List("providers/Microsoft.Network/networkInterfaces", NETWORK),
    "groups": List("providers/Microsoft.Network/networkSecurityGroups", NETWORK),
    "addresses": List("providers/Microsoft.Network/publicIPAddresses", NETWORK),
    "networks": List("providers/Microsoft.Network/virtualNetworks", NETWORK),
    "routes": List("providers/Microsoft.Network/routeTables", NETWORK),
    "firewalls": List("providers/Microsoft.Network/azureFirewalls", NETWORK),
    "bastions": List("providers/Microsoft.Network/bastionHosts", NETWORK),
    "balancers": List("providers/Microsoft.Network/loadBalancers", NETWORK, is_optional=True),
    "locks": List("providers/Microsoft.Authorization/locks", LOCKS),
    "classic": List("providers/Microsoft.ClassicCompute/virtualMachines", CLASSIC, is_optional=True),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a subscription holds, as Azure answered it, of all subscriptions together."""

    machines: Sequence[Json] = ()
    interfaces: Sequence[Json] = ()
    groups: Sequence[Json] = ()
    addresses: Sequence[Json] = ()
    networks: Sequence[Json] = ()
    routes: Sequence[Json] = ()
    firewalls: Sequence[Json] = ()
    bastions: Sequence[Json] = ()
    balancers: Sequence[Json] = ()
    locks: Sequence[Json] = ()
    classic: Sequence[Json] = ()
