"""What stands in a region: instances, their interfaces, security groups and rules, network ACLs and routes."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgate.connectors.aws.calls import Ec2, Json
from jitgate.connectors.aws.ranges import ANY, Part, describe, protocol_of

MARK = "jitgate"
"""The tag of what is ours. On a group and its rules its value is the instance's id."""
UNTIL = "jitgate:until"
OF = "jitgate:of"
"""The tag of a rule that is what is left of a rule of others: which one's."""
_SOURCES = ("CidrIpv4", "CidrIpv6", "PrefixListId")
_GONE = {"terminated", "shutting-down"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule for what comes in, or goes out. `source`: Amazon's name of its kind, and the source."""

    id: str
    group: str
    part: Part
    source: Mapping[str, str]
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_egress: bool = False

    @property
    def source_text(self) -> str:
        return next(iter(self.source.values()), "")

    @property
    def identity(self) -> str:
        """What Amazon tells rules of one group apart by: not by their description."""
        return f"{'/'.join(map(str, self.part))}/{self.source_text}"

    def describe(self) -> str:
        """For people."""
        return f"{describe(self.part)} from {self.source_text}"


def own_name(instance: str) -> str:
    """The name of the group that is made for an instance."""
    return f"{MARK}-{instance}"


@dataclass(frozen=True, slots=True)
class Group:
    """A security group."""

    id: str
    name: str
    vpc: str
    tags: Mapping[str, str]

    @property
    def owner(self) -> str:
        """The instance that a group of ours was made for; "": it is none of ours. Its name says so too, which nobody
        can change: a tag that somebody sets, or copies, makes no group ours."""
        instance = self.tags.get(MARK, "")
        return instance if self.name == own_name(instance) else ""

    def describe(self) -> str:
        return f"{self.name} ({self.id})"


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of an instance."""

    id: str
    subnet: str
    groups: Sequence[str]
    addresses: Sequence[str]
    public: Sequence[str]


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance."""

    id: str
    vpc: str
    state: str
    platform: str
    zone: str
    tags: Mapping[str, str]
    interfaces: Sequence[Interface]

    @property
    def name(self) -> str:
        return self.tags.get("Name", "").strip() or self.id

    @property
    def groups(self) -> Sequence[str]:
        """All groups of all its interfaces, each once."""
        return tuple(dict.fromkeys(group for one in self.interfaces for group in one.groups))


@dataclass(slots=True)
class World:
    """A region as it was read. What was written since is put in by whoever wrote it.

    `acls`   by subnet the entries of its network ACL
    `routes` by subnet the targets of its default routes, by family
    `users`  by group the interfaces that use it and belong to no instance, for people; read when it is asked for
    """

    instances: dict[str, Instance]
    groups: dict[str, Group]
    rules: dict[str, list[Rule]]
    acls: Mapping[str, Sequence[Json]]
    routes: Mapping[str, Mapping[int, str]]
    users: dict[str, Sequence[str]] = field(default_factory=dict)

    def own_group(self, instance: str) -> Group | None:
        """The group that was made for an instance."""
        return next((group for group in self.groups.values() if group.owner == instance), None)

    def ingress(self, group: str) -> list[Rule]:
        return [rule for rule in self.rules.get(group, ()) if not rule.is_egress]

    def lets_all_out(self, instance: Instance) -> bool:
        """Whether an instance may send anything anywhere: then what anybody may send to it is not tracked."""
        rules = (rule for group in instance.groups for rule in self.rules.get(group, ()))
        return any(rule.is_egress and rule.part[0] == ANY and rule.source_text == "0.0.0.0/0" for rule in rules)

    def members(self, group: str) -> list[Instance]:
        """The instances that a group counts for."""
        return [instance for instance in self.instances.values() if group in instance.groups]


async def read(ec2: Ec2) -> World:
    """A whole region, in a page of a thousand each. Raises ConnectorError."""
    reservations, groups, rules, acls, tables = await asyncio.gather(
        ec2.pages("describe_instances", "Reservations"),
        ec2.pages("describe_security_groups", "SecurityGroups"),
        ec2.pages("describe_security_group_rules", "SecurityGroupRules"),
        ec2.pages("describe_network_acls", "NetworkAcls"),
        ec2.pages("describe_route_tables", "RouteTables"),
    )
    instances = [_instance(each) for one in reservations for each in one["Instances"]]
    by_group: dict[str, list[Rule]] = {}
    for each in rules:
        by_group.setdefault(each["GroupId"], []).append(rule(each))
    return World(
        instances={one.id: one for one in instances if one.state not in _GONE},
        groups={each["GroupId"]: group(each) for each in groups},
        rules=by_group,
        acls=_acls(acls),
        routes=_routes(tables, {i.subnet: one.vpc for one in instances for i in one.interfaces}),
    )


async def read_rules(ec2: Ec2, of: str) -> list[Rule]:
    """The rules of one group, as they are now. Raises ConnectorError."""
    found = await ec2.pages(
        "describe_security_group_rules", "SecurityGroupRules", Filters=[{"Name": "group-id", "Values": [of]}]
    )
    return [rule(each) for each in found]


async def read_users(ec2: Ec2, of: str) -> Sequence[str]:
    """The interfaces with a group that belong to no instance: load balancers, databases. For people."""
    found = await ec2.pages(
        "describe_network_interfaces", "NetworkInterfaces", Filters=[{"Name": "group-id", "Values": [of]}]
    )
    others = [each for each in found if not each.get("Attachment", {}).get("InstanceId")]
    return sorted(f"interface {each['NetworkInterfaceId']} {each.get('Description', '')}".strip() for each in others)


def rule(told: Json) -> Rule:
    """A rule as Amazon tells it."""
    referenced = told.get("ReferencedGroupInfo", {}).get("GroupId")
    source = {name: told[name] for name in _SOURCES if told.get(name)}
    return Rule(
        id=told["SecurityGroupRuleId"],
        group=told["GroupId"],
        part=(protocol_of(told["IpProtocol"]), _port(told.get("FromPort")), _port(told.get("ToPort"))),
        source=source or ({"ReferencedGroupId": referenced} if referenced else {}),
        description=told.get("Description") or "",
        tags=tags(told),
        is_egress=bool(told.get("IsEgress")),
    )


def group(told: Json) -> Group:
    """A group as Amazon tells it."""
    return Group(told["GroupId"], told["GroupName"], told.get("VpcId", ""), tags(told))


def tags(told: Json) -> dict[str, str]:
    """Tags as a mapping."""
    return {each["Key"]: each.get("Value", "") for each in told.get("Tags") or ()}


def _port(told: Any) -> int:
    return -1 if told is None else int(told)


def _instance(told: Json) -> Instance:
    return Instance(
        id=told["InstanceId"],
        vpc=told.get("VpcId", ""),
        state=told["State"]["Name"],
        platform=told.get("Platform") or told.get("PlatformDetails") or "",
        zone=told.get("Placement", {}).get("AvailabilityZone", ""),
        tags=tags(told),
        interfaces=tuple(_interface(each) for each in told.get("NetworkInterfaces", ())),
    )


def _interface(told: Json) -> Interface:
    private = [each["PrivateIpAddress"] for each in told.get("PrivateIpAddresses", ()) if "PrivateIpAddress" in each]
    associated = (each.get("Association", {}).get("PublicIp") for each in told.get("PrivateIpAddresses", ()))
    sixes = [each["Ipv6Address"] for each in told.get("Ipv6Addresses", ())]
    return Interface(
        id=told["NetworkInterfaceId"],
        subnet=told.get("SubnetId", ""),
        groups=tuple(each["GroupId"] for each in told.get("Groups", ())),
        addresses=(*private, *sixes),
        public=tuple(address for address in associated if address),
    )


def _acls(told: Iterable[Json]) -> dict[str, Sequence[Json]]:
    return {
        each["SubnetId"]: [entry for entry in acl.get("Entries", ()) if not entry.get("Egress")]
        for acl in told
        for each in acl.get("Associations", ())
        if each.get("SubnetId")
    }


def _routes(told: Sequence[Json], vpcs: Mapping[str, str]) -> dict[str, Mapping[int, str]]:
    """By subnet where its default routes lead. A subnet without a table of its own has its network's main one."""
    of_subnet = {a["SubnetId"]: table for table in told for a in table.get("Associations", ()) if a.get("SubnetId")}
    main = {table.get("VpcId"): table for table in told if any(a.get("Main") for a in table.get("Associations", ()))}
    return {subnet: _defaults(of_subnet.get(subnet) or main.get(vpc) or {}) for subnet, vpc in vpcs.items()}


def _defaults(table: Json) -> dict[int, str]:
    found: dict[int, str] = {}
    for route in table.get("Routes", ()):
        if route.get("DestinationCidrBlock") == "0.0.0.0/0":
            found[4] = route.get("GatewayId") or ""
        if route.get("DestinationIpv6CidrBlock") == "::/0":
            found[6] = route.get("GatewayId") or ""
    return found
