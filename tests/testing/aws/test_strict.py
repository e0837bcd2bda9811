"""The layer before moto refuses what Amazon refuses."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.connectors.aws.scene import ANYWHERE, Scene

from jitgate.testing.aws.strict import StrictEc2


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene("web-1") as made:
        yield made


@pytest.fixture
def strict(scene: Scene) -> StrictEc2:
    return StrictEc2(scene.client, scene.weather)


def allow(cidr: str = "198.51.100.7/32", first: int = 22, says: str = "", **more: Any) -> list[dict[str, Any]]:
    given = {
        "IpProtocol": "tcp",
        "FromPort": first,
        "ToPort": first,
        "IpRanges": [{"CidrIp": cidr, "Description": says}],
    }
    return [given | more]


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=code)


def test_sources_are_stored_as_networks(scene: Scene, strict: StrictEc2) -> None:
    strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow("10.9.8.7/24"))
    assert scene.lets(scene.shared) == {("tcp", 22, 22, "10.9.8.0/24")}
    with refused("Duplicate"):
        strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow("10.9.8.0/24", says="other"))


@pytest.mark.parametrize(
    "permissions", [allow(first=70000), allow(says="x" * 256), allow(says="naïve"), allow("10.9.8.7/33")]
)
def test_ports_descriptions_and_sources_are_checked(
    scene: Scene, strict: StrictEc2, permissions: list[dict[str, Any]]
) -> None:
    with refused("InvalidParameterValue"):
        strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=permissions)


def test_an_interface_has_one_to_five_groups_that_there_are(scene: Scene, strict: StrictEc2) -> None:
    [interface] = strict.describe_network_interfaces()["NetworkInterfaces"]
    six = [scene.add_group(f"group-{n}") for n in range(6)]
    for groups, code in (([], "InvalidParameterValue"), (six, "LimitExceeded"), (["sg-0"], "InvalidGroup.NotFound")):
        with refused(code):
            strict.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=groups)


def test_a_group_in_use_is_not_removed(scene: Scene, strict: StrictEc2) -> None:
    with refused("DependencyViolation"):
        strict.delete_security_group(GroupId=scene.shared)


def test_a_revoke_is_all_or_nothing(scene: Scene, strict: StrictEc2) -> None:
    scene.allow(ANYWHERE)
    [rule] = scene.rules(scene.shared)
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        strict.revoke_security_group_ingress(
            GroupId=scene.shared, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"], "sgr-0"]
        )
    assert scene.rules(scene.shared)


def test_each_family_has_a_quota_of_its_own(scene: Scene, strict: StrictEc2) -> None:
    scene.weather.rules_per_group = 1
    strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow())
    with refused("RulesPerSecurityGroupLimitExceeded"):
        strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow("198.51.100.8/32"))
    six = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/64"}]}]
    strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=six)


def test_writes_are_throttled_and_reads_lag_and_come_in_pages(scene: Scene, strict: StrictEc2) -> None:
    scene.weather.throttled = 1
    with refused("RequestLimitExceeded"):
        strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow())
    scene.weather.lag = 1
    strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow())
    look = {"Filters": [{"Name": "group-id", "Values": [scene.shared]}]}
    before, after = (strict.describe_security_group_rules(**look)["SecurityGroupRules"] for _ in range(2))
    assert len(after) == len(before) + 1
    scene.weather.page = 1
    page = strict.describe_security_groups(MaxResults=1000)
    assert len(page["SecurityGroups"]) == 1
    assert page["NextToken"]


def test_what_is_not_there_to_be_revoked_by_value_is_told_in_a_default_network_and_refused_elsewhere(
    scene: Scene, strict: StrictEc2
) -> None:
    [network] = scene.client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    made = scene.client.create_security_group(GroupName="d", Description="d", VpcId=network["VpcId"])["GroupId"]
    for group in (made, scene.shared):
        strict.authorize_security_group_ingress(GroupId=group, IpPermissions=allow(says="said"))
    both = [*allow(), *allow("192.0.2.0/24")]
    answer = strict.revoke_security_group_ingress(GroupId=made, IpPermissions=both)
    assert [each["IpRanges"][0]["CidrIp"] for each in answer["UnknownIpPermissions"]] == ["192.0.2.0/24"]
    assert scene.lets(made) == set(), "what is there goes, whatever it says of itself"
    with refused("InvalidPermission.NotFound"):
        strict.revoke_security_group_ingress(GroupId=scene.shared, IpPermissions=both)
    assert scene.lets(scene.shared) == {("tcp", 22, 22, "198.51.100.7/32")}, "nothing of it is done"


def test_a_prefix_list_counts_for_as_many_rules_as_it_may_have_entries(scene: Scene, strict: StrictEc2) -> None:
    made = scene.client.create_managed_prefix_list(PrefixListName="p", MaxEntries=59, AddressFamily="IPv4")
    listed = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    listed |= {"PrefixListIds": [{"PrefixListId": made["PrefixList"]["PrefixListId"]}]}
    strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=[listed])
    strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow("192.0.2.1/32"))
    with refused("RulesPerSecurityGroupLimitExceeded"):
        strict.authorize_security_group_ingress(GroupId=scene.shared, IpPermissions=allow("192.0.2.2/32"))


def test_the_groups_of_an_instance_are_those_of_its_interface(scene: Scene, strict: StrictEc2) -> None:
    [interface] = strict.describe_network_interfaces()["NetworkInterfaces"]
    other = scene.add_group("other")
    strict.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=[other])
    [instance] = strict.describe_instances()["Reservations"][0]["Instances"]
    assert [each["GroupId"] for each in instance["SecurityGroups"]] == [other]
    assert instance["PlatformDetails"] == "Linux/UNIX"


@pytest.mark.parametrize(("operation", "most"), [("describe_route_tables", 100), ("describe_security_groups", 1000)])
def test_a_page_is_as_large_as_amazon_lets_it_be_and_no_larger(strict: StrictEc2, operation: str, most: int) -> None:
    getattr(strict, operation)(MaxResults=most)
    with refused("InvalidParameterValue"):
        getattr(strict, operation)(MaxResults=most + 1)


def test_what_amazon_does_not_filter_by_is_refused(strict: StrictEc2) -> None:
    """It filters rules by a tag's value, and groups by a tag's name, too."""
    by_name = [{"Name": "tag-key", "Values": ["jitgate"]}]
    strict.describe_security_groups(Filters=by_name)
    with refused("InvalidParameterValue"):
        strict.describe_security_group_rules(Filters=by_name)
    strict.describe_security_group_rules(Filters=[{"Name": "tag:jitgate", "Values": ["i-1"]}])
