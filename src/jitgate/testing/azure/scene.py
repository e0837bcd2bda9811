"""What the fake holds to begin with, put together piece by piece. Every method returns the id of what it made."""

import ipaddress
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from jitgate.testing.azure import rendering, writing
from jitgate.testing.azure.access import Lock
from jitgate.testing.azure.arm import Arm
from jitgate.testing.azure.messages import Json
from jitgate.testing.azure.resources import Resource, parts, with_part, without_part

SUBSCRIPTION = "5d1f3a6e-0000-4000-8000-00000000a2e1"
LOCATION = "westeurope"

_KINDS = {
    kind.rpartition("/")[2]: kind for kind in rendering.TYPES if not kind.startswith("microsoft.classiccompute")
} | {"classic": "microsoft.classiccompute/virtualmachines"}


def rule(
    name: str,
    priority: int,
    access: str = "Allow",
    *,
    source: str | Sequence[str] = "*",
    ports: str | Sequence[str] = "22",
    destination: str | Sequence[str] = "*",
    protocol: str = "Tcp",
    direction: str = "Inbound",
    **more: Any,
) -> Json:
    """A security rule, singular or plural by what it is given; `more`: further properties."""
    properties = {
        "protocol": protocol,
        "sourcePortRange": "*",
        "access": access,
        "priority": priority,
        "direction": direction,
        **_one_or_several("sourceAddressPrefix", "sourceAddressPrefixes", source),
        **_one_or_several("destinationAddressPrefix", "destinationAddressPrefixes", destination),
        **_one_or_several("destinationPortRange", "destinationPortRanges", ports),
        **more,
    }
    return {"name": name, "properties": properties}


def _one_or_several(single: str, several: str, value: str | Sequence[str]) -> Json:
    return {single: value} if isinstance(value, str) else {several: list(value)}


class Scene:
    """Fills a fake, without calls and at once. What is made goes into one subscription, and the group named last."""

    def __init__(self, arm: Arm, *, subscription: str = SUBSCRIPTION, group: str = "prod") -> None:
        self._world = arm.world
        self.subscription, self.group_name = subscription, group
        self._world.subscriptions[subscription.lower()] = {
            "id": f"/subscriptions/{subscription}",
            "subscriptionId": subscription,
            "displayName": "Fake",
            "state": "Enabled",
            "tenantId": "7e0a4b1c-0000-4000-8000-00000000a2e1",
        }
        self.group(group)

    def group(self, name: str) -> str:
        """A resource group, into which what comes next is put."""
        made = f"/subscriptions/{self.subscription}/resourceGroups/{name}"
        told = {"id": made, "name": name, "type": "Microsoft.Resources/resourceGroups", "location": LOCATION}
        self._world.groups[made.lower()] = {**told, "properties": {"provisioningState": "Succeeded"}}
        self.group_name = name
        return made

    def put(self, type: str, name: str, properties: Json, **more: Any) -> str:
        """Any resource, by the last word of its type in lower case: ``networkinterfaces``."""
        kind = _KINDS[type]
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group_name}"
        body: Json = {"location": LOCATION, "tags": {}, **more, "properties": properties}
        held = Resource(f"{group}/providers/{rendering.TYPES[kind]}/{name}", kind, body)
        return self._world.resources.put(held).id

    def nsg(self, name: str, *rules: Json) -> str:
        """A network security group."""
        return self.put("networksecuritygroups", name, {"securityRules": list(rules)})

    def vnet(self, name: str, *prefixes: str, peers: Sequence[str] = ()) -> str:
        """A virtual network. `peers`: ids of those that it is joined with."""
        peerings = [
            {
                "name": f"to-{peer.rpartition('/')[2]}",
                "properties": {
                    "remoteVirtualNetwork": {"id": peer},
                    "remoteAddressSpace": self._body(peer)["properties"]["addressSpace"],
                    "peeringState": "Connected",
                },
            }
            for peer in peers
        ]
        properties = {"addressSpace": {"addressPrefixes": list(prefixes)}, "virtualNetworkPeerings": peerings}
        return self.put("virtualnetworks", name, {**properties, "subnets": []})

    def subnet(self, vnet: str, name: str, *prefixes: str, nsg: str = "", route_table: str = "") -> str:
        """A part of a virtual network."""
        properties: Json = _one_or_several(
            "addressPrefix", "addressPrefixes", prefixes[0] if len(prefixes) == 1 else prefixes
        )
        properties |= _referring(networkSecurityGroup=nsg, routeTable=route_table)
        self._change(vnet, "subnets", {"name": name, "properties": properties})
        return f"{vnet}/subnets/{name}"

    def route_table(self, name: str, next_hop: str) -> str:
        """One that sends everything to an appliance, such as a firewall."""
        route = {
            "name": "everything",
            "properties": {
                "addressPrefix": "0.0.0.0/0",
                "nextHopType": "VirtualAppliance",
                "nextHopIpAddress": next_hop,
            },
        }
        return self.put("routetables", name, {"routes": [route]})

    def public_ip(self, name: str, address: str, sku: str = "Standard") -> str:
        """A public address."""
        version = f"IPv{ipaddress.ip_address(address).version}"
        properties = {"ipAddress": address, "publicIPAddressVersion": version, "publicIPAllocationMethod": "Static"}
        return self.put("publicipaddresses", name, properties, sku={"name": sku, "tier": "Regional"})

    def asg(self, name: str) -> str:
        """An application security group."""
        return self.put("applicationsecuritygroups", name, {})

    def nic(
        self,
        name: str,
        subnet: str,
        *addresses: str,
        nsg: str = "",
        public: Mapping[str, str] | None = None,
        asgs: Sequence[str] = (),
    ) -> str:
        """A network interface. `public`: by private address the id of the public one."""
        configurations = [
            {
                "name": f"ipconfig{index + 1}",
                "properties": {
                    "privateIPAddress": address,
                    "privateIPAddressVersion": f"IPv{ipaddress.ip_address(address).version}",
                    "privateIPAllocationMethod": "Static",
                    "primary": index == 0,
                    "subnet": {"id": subnet},
                    **_referring(publicIPAddress=(public or {}).get(address, "")),
                    **({"applicationSecurityGroups": [{"id": each} for each in asgs]} if asgs else {}),
                },
            }
            for index, address in enumerate(addresses)
        ]
        properties = {"ipConfigurations": configurations, "primary": True, **_referring(networkSecurityGroup=nsg)}
        return self.put("networkinterfaces", name, properties)

    def vm(
        self, name: str, *nics: str, os: str = "Linux", running: bool = True, tags: Mapping[str, str] | None = None
    ) -> str:
        """A virtual machine with these interfaces, the first one primary."""
        state = "running" if running else "deallocated"
        properties = {
            "vmId": str(uuid.uuid4()),
            "storageProfile": {"osDisk": {"osType": os, "name": f"{name}-disk"}},
            "osProfile": {"computerName": name},
            "networkProfile": {
                "networkInterfaces": [
                    {"id": each, "properties": {"primary": index == 0}} for index, each in enumerate(nics)
                ]
            },
            "instanceView": {
                "statuses": [
                    {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
                    {"code": f"PowerState/{state}", "level": "Info", "displayStatus": f"VM {state}"},
                ]
            },
        }
        return self.put("virtualmachines", name, properties, tags=dict(tags or {}))

    def classic_vm(self, name: str) -> str:
        """A virtual machine of the older kind."""
        return self.put("classic", name, {"hardwareProfile": {"size": "Small"}})

    def firewall(self, name: str, subnet: str, private: str, public_ip: str, *collections: Json, **more: Any) -> str:
        """An Azure Firewall with classic rules; `collections` of its DNAT. `more`: such as ``firewallPolicy``."""
        configuration = {
            "name": "outside",
            "properties": {"privateIPAddress": private, **_referring(subnet=subnet, publicIPAddress=public_ip)},
        }
        properties = {
            "sku": {"name": "AZFW_VNet", "tier": "Standard"},
            "threatIntelMode": "Alert",
            "ipConfigurations": [configuration],
            "natRuleCollections": list(collections),
            "networkRuleCollections": [],
            "applicationRuleCollections": [],
            **more,
        }
        return self.put("azurefirewalls", name, properties)

    def bastion(self, name: str, subnet: str) -> str:
        """An Azure Bastion host in its subnet."""
        configuration = {"name": "in", "properties": _referring(subnet=subnet)}
        return self.put("bastionhosts", name, {"ipConfigurations": [configuration]}, sku={"name": "Standard"})

    def balance(self, nic: str, public_ip: str, port: int) -> str:
        """A load balancer with an inbound NAT rule that leads to a port of an interface's first address."""
        at = f"{nic.rpartition('/networkInterfaces/')[0]}/loadBalancers/lb"
        frontend = {"id": f"{at}/frontendIPConfigurations/front", "name": "front"}
        told = {"frontendIPConfiguration": {"id": frontend["id"]}, "frontendPort": 50001, "backendPort": port}
        nat = {"id": f"{at}/inboundNatRules/nat", "name": "nat", "properties": {**told, "protocol": "Tcp"}}
        configuration = self._body(nic)["properties"]["ipConfigurations"][0]["properties"]
        configuration["loadBalancerInboundNatRules"] = [{"id": nat["id"]}]
        self._held(nic).renew()
        properties = {
            "frontendIPConfigurations": [{**frontend, "properties": {"publicIPAddress": {"id": public_ip}}}],
            "inboundNatRules": [nat],
        }
        return self.put("loadbalancers", "lb", properties)

    def lock(self, scope: str, level: str = "CanNotDelete") -> str:
        """A lock at a scope and all below it."""
        made = Lock(f"{scope}/providers/Microsoft.Authorization/locks/keep", scope, level)
        self._world.locks[made.id.lower()] = made
        return made.id

    def add_rule(self, nsg: str, new: Json) -> None:
        """A rule as another hand would write it, in place of the one of its name."""
        self._change(nsg, "securityRules", new)

    def remove_rule(self, nsg: str, name: str) -> None:
        """The rule is gone, as if another hand had removed it."""
        held = self._held(nsg)
        held.body = without_part(held.body, "securityRules", name)
        held.effective = without_part(held.effective, "securityRules", name)
        held.renew()

    def rules(self, nsg: str) -> dict[str, Json]:
        """The properties of a group's rules by their names."""
        return {each["name"]: each["properties"] for each in parts(self._body(nsg), "securityRules")}

    def in_force(self, id: str) -> Json:
        """What packets meet: a resource by the last change of it that ended well."""
        self._world.settle()
        return self._held(id).effective

    def remove(self, id: str) -> None:
        """A resource is gone, with all that was in it."""
        self._world.resources.remove(id)

    def _change(self, id: str, told_as: str, new: Json) -> None:
        held = self._held(id)
        kept = writing.without_told(new)
        held.body, held.effective = with_part(held.body, told_as, kept), with_part(held.effective, told_as, kept)
        held.renew()

    def _body(self, id: str) -> Json:
        return self._held(id).body

    def _held(self, id: str) -> Resource:
        held = self._world.resources.get(id)
        assert held is not None, f"the fake has no {id}"
        return held


def _referring(**ids: str) -> Json:
    """References to other resources, without the empty ones."""
    return {name: {"id": each} for name, each in ids.items() if each}
