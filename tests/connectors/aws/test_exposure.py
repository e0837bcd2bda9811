"""Who reaches a machine: groups, network ACLs, routes, addresses."""

import pytest
from tests.connectors.aws.scene import ANYWHERE, Scene

from jitgate.connectors.aws.settings import check
from jitgate.core.errors import Invalid
from jitgate.core.exposure import Reach


def lead_in(scene: Scene) -> None:
    """A route from the Internet, and a public address."""
    gateway = scene.client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    scene.client.attach_internet_gateway(InternetGatewayId=gateway, VpcId=scene.vpc)
    [table] = scene.client.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [scene.vpc]}])["RouteTables"]
    scene.client.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock=ANYWHERE, GatewayId=gateway)
    address = scene.client.allocate_address(Domain="vpc")["AllocationId"]
    scene.client.associate_address(AllocationId=address, InstanceId=scene.instances["web-1"])


def forbid(scene: Scene, cidr: str) -> None:
    """The subnet's ACL denies SSH from some addresses, before anything else."""
    [acl] = scene.client.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [scene.vpc]}])["NetworkAcls"]
    scene.client.create_network_acl_entry(
        NetworkAclId=acl["NetworkAclId"],
        RuleNumber=1,
        Protocol="6",
        RuleAction="deny",
        Egress=False,
        CidrBlock=cidr,
        PortRange={"From": 22, "To": 22},
    )


async def test_a_machine_behind_a_public_address_is_open_to_anyone_and_one_without_is_not(scene: Scene) -> None:
    scene.allow(ANYWHERE)
    lead_in(scene)
    await scene.discover()
    [exposed] = scene.machine("web-1").exposure
    assert (exposed.port, exposed.reach, exposed.sources) == (22, Reach.ANYONE, (ANYWHERE,))
    [inside] = scene.machine("web-2").exposure
    assert inside.reach is Reach.INTERNAL


async def test_an_acl_takes_away_what_it_denies(scene: Scene) -> None:
    scene.allow("198.51.100.0/24")
    lead_in(scene)
    forbid(scene, "198.51.100.0/25")
    await scene.discover()
    [exposed] = scene.machine("web-1").exposure
    assert (exposed.reach, exposed.sources) == (Reach.SPECIFIC, ("198.51.100.128/25",))


async def test_an_address_of_ipv6_is_exposed_by_rules_and_routes_of_its_own(scene: Scene) -> None:
    scene.allow("::/0")
    lead_in(scene)
    [interface] = scene.client.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [scene.instances["web-2"]]}]
    )["NetworkInterfaces"]
    scene.client.assign_ipv6_addresses(
        NetworkInterfaceId=interface["NetworkInterfaceId"], Ipv6Addresses=["2001:db8::12"]
    )
    await scene.discover()
    assert "2001:db8::12" in scene.machine("web-2").addresses
    assert not scene.machine("web-2").exposure, "the subnet's ACL here says nothing of IPv6, so it denies"
    [acl] = scene.client.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [scene.vpc]}])["NetworkAcls"]
    scene.client.create_network_acl_entry(
        NetworkAclId=acl["NetworkAclId"],
        RuleNumber=101,
        Protocol="-1",
        RuleAction="allow",
        Egress=False,
        Ipv6CidrBlock="::/0",
    )
    await scene.discover()
    [inside] = scene.machine("web-2").exposure
    assert inside.reach is Reach.INTERNAL, "no route of IPv6 leads to it"
    [table] = scene.client.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [scene.vpc]}])["RouteTables"]
    [gateway] = scene.client.describe_internet_gateways()["InternetGateways"]
    scene.client.create_route(
        RouteTableId=table["RouteTableId"],
        DestinationIpv6CidrBlock="::/0",
        GatewayId=gateway["InternetGatewayId"],
    )
    await scene.discover()
    [exposed] = scene.machine("web-2").exposure
    assert (exposed.reach, exposed.sources) == (Reach.ANYONE, ("::/0",))
    assert all(each.reach is Reach.INTERNAL for each in scene.machine("web-1").exposure), "it has no such address"


async def test_what_a_machine_is_like_is_told(scene: Scene) -> None:
    scene.client.stop_instances(InstanceIds=[scene.instances["web-2"]])
    await scene.discover()
    machine = scene.machine("web-2")
    assert machine.facts["power"] == "stopped"
    assert machine.id.endswith(f"/virtualMachines/{scene.instances['web-2']}")
    assert "not tracked" in str(machine.facts["sessionsGoOn"])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"regions": "Ireland"},
        {"regions": "eu-west-1", "roles": "jitgate"},
        {"regions": "eu-west-1", "external_id": "text"},
        {"regions": "eu-west-1", "group_slots": "17"},
        {"regions": "eu-west-1", "secret": "text"},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        check(settings)
