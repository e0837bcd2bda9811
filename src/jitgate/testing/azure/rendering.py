"""How resources are told: ids of their parts, states, default rules, and who refers to whom."""

import copy
from collections.abc import Mapping

from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.resources import CHILDREN, Resource, Resources, part
from jitgate.testing.azure.rules import DEFAULTS

NSG, NIC = "microsoft.network/networksecuritygroups", "microsoft.network/networkinterfaces"
VNET, TABLE = "microsoft.network/virtualnetworks", "microsoft.network/routetables"
VM = "microsoft.compute/virtualmachines"

TYPES = {
    NSG: "Microsoft.Network/networkSecurityGroups",
    NIC: "Microsoft.Network/networkInterfaces",
    VNET: "Microsoft.Network/virtualNetworks",
    TABLE: "Microsoft.Network/routeTables",
    VM: "Microsoft.Compute/virtualMachines",
    "microsoft.network/publicipaddresses": "Microsoft.Network/publicIPAddresses",
    "microsoft.network/azurefirewalls": "Microsoft.Network/azureFirewalls",
    "microsoft.network/bastionhosts": "Microsoft.Network/bastionHosts",
    "microsoft.network/loadbalancers": "Microsoft.Network/loadBalancers",
    "microsoft.network/applicationsecuritygroups": "Microsoft.Network/applicationSecurityGroups",
    "microsoft.classiccompute/virtualmachines": "Microsoft.ClassicCompute/virtualMachines",
}
"""The kinds that the fake has, in their own spelling."""

Referring = Mapping[tuple[str, str], list[str]]


def referring(resources: Resources) -> Referring:
    """By what is referred to (what it is told as, id in lower case): the ids of those that refer to it."""
    found: dict[tuple[str, str], list[str]] = {}

    def note(told_as: str, target: Mapping[str, str] | None, id: str) -> None:
        if target:
            found.setdefault((told_as, target["id"].lower()), []).append(id)

    for nic in resources.of_kind(NIC):
        note("networkInterfaces", nic.body["properties"].get("networkSecurityGroup"), nic.id)
    for net in resources.of_kind(VNET):
        for subnet in net.body["properties"].get("subnets", []):
            note("subnets", subnet["properties"].get("networkSecurityGroup"), f"{net.id}/subnets/{subnet['name']}")
            note("subnets", subnet["properties"].get("routeTable"), f"{net.id}/subnets/{subnet['name']}")
    for machine in resources.of_kind(VM):
        for each in machine.body["properties"].get("networkProfile", {}).get("networkInterfaces", []):
            note("virtualMachine", each, in_capitals(machine.id))
    return found


def in_capitals(id: str) -> str:
    """An id as the compute provider tells it: its resource group in capitals."""
    words = id.split("/")
    words[4] = words[4].upper()
    return "/".join(words)


def resource(held: Resource, refers: Referring, *, with_view: bool = False) -> Json:
    """A resource as it is told. `with_view`: a machine with its power state."""
    body = copy.deepcopy(held.body)
    properties = body.setdefault("properties", {})
    if held.kind == VM:
        return _machine(held, body, with_view=with_view)
    properties["provisioningState"] = held.state
    for told_as in CHILDREN.get(held.kind, {}).values():
        properties[told_as] = [_told_part(held, told_as, each) for each in properties.get(told_as, [])]
    if held.kind == NSG:
        properties["defaultSecurityRules"] = [_default(held, each) for each in DEFAULTS]
    for told_as in ("networkInterfaces", "subnets") if held.kind in (NSG, TABLE) else ():
        if found := refers.get((told_as, held.key)):
            properties[told_as] = [{"id": each} for each in found]
    if held.kind == NIC and (machines := refers.get(("virtualMachine", held.key))):
        properties["virtualMachine"] = {"id": machines[0]}
    return {"name": held.name, "id": held.id, "etag": held.etag, "type": TYPES[held.kind], **body}


def child(held: Resource, told_as: str, name: str) -> Json | None:
    """One part of a resource as it is told."""
    found = part(copy.deepcopy(held.body), told_as, name)
    return None if found is None else _told_part(held, told_as, found)


def _told_part(held: Resource, told_as: str, each: Json) -> Json:
    operation, child = held.operation, f"{told_as}/{each['name']}".lower()
    is_changing = operation is not None and operation.child == child
    state = held.state if is_changing else held.spoiled.get(child, "Succeeded")
    properties = {**each.get("properties", {}), "provisioningState": state}
    kind = f"{TYPES[held.kind]}/{told_as}"
    own = {"id": f"{held.id}/{told_as}/{each['name']}", "etag": held.etag, "type": kind}
    return {**each, **own, "properties": properties}


def _default(held: Resource, rule: Json) -> Json:
    told = _told_part(held, "defaultSecurityRules", rule)
    return {**told, "type": f"{TYPES[NSG]}/defaultSecurityRules"}


def _machine(held: Resource, body: Json, *, with_view: bool) -> Json:
    properties = body["properties"]
    view = properties.pop("instanceView", None)
    properties["provisioningState"] = held.state
    if with_view and view:
        properties["instanceView"] = view
    return {"name": held.name, "id": in_capitals(held.id), "type": TYPES[held.kind], **body}
