"""What the connector may do in Azure, and which of the actions that it needs it may not."""

from collections.abc import Mapping, Sequence

from jitgate.connectors.azure.arm import Arm
from jitgate.core.patterns import any_matches

VERSION = "2022-04-01"
READS = (
    "Microsoft.Authorization/locks/read",
    "Microsoft.Authorization/permissions/read",
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Network/azureFirewalls/read",
    "Microsoft.Network/bastionHosts/read",
    "Microsoft.Network/loadBalancers/read",
    "Microsoft.Network/locations/operations/read",
    "Microsoft.Network/locations/serviceTags/read",
    "Microsoft.Network/networkInterfaces/read",
    "Microsoft.Network/networkSecurityGroups/read",
    "Microsoft.Network/publicIPAddresses/read",
    "Microsoft.Network/routeTables/read",
    "Microsoft.Network/virtualNetworks/listNetworkManagerEffectiveSecurityAdminRules/action",
    "Microsoft.Network/virtualNetworks/read",
    "Microsoft.ResourceGraph/resources/read",
)
WRITES = (
    "Microsoft.Network/networkSecurityGroups/securityRules/delete",
    "Microsoft.Network/networkSecurityGroups/securityRules/write",
)
FIREWALL = (
    "Microsoft.Network/azureFirewalls/write",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
)
"""A firewall is written as a whole, with the address and the subnet that it has: Azure wants the right to join them."""
NEEDED = (*READS, *WRITES, *FIREWALL)
"""All of them. deploy/azure/connector-role.json grants these and nothing else."""


async def missing(arm: Arm, subscription: str) -> Sequence[str]:
    """The needed actions that are not granted in a subscription, each with where. Raises ArmError."""
    path = f"subscriptions/{subscription}/providers/Microsoft.Authorization/permissions"
    granted = [each async for each in arm.list(path, VERSION)]
    return [f"{action} at /subscriptions/{subscription}" for action in NEEDED if not _allows(granted, action)]


def _allows(granted: Sequence[Mapping[str, Sequence[str]]], action: str) -> bool:
    """Whether any of the roles that are held grants an action and does not take it away again."""
    return any(
        any_matches(each.get("actions") or (), action) and not any_matches(each.get("notActions") or (), action)
        for each in granted
    )
