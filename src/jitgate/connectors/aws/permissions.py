"""The permissions that the connector needs, and which of them it lacks.

Amazon's dry run tells whether a call would be allowed, and does nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from jitgate.connectors.aws.calls import Ec2, Refused

READS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ec2:DescribeInstances": ("describe_instances", {}),
    "ec2:DescribeNetworkInterfaces": ("describe_network_interfaces", {}),
    "ec2:DescribeSecurityGroups": ("describe_security_groups", {}),
    "ec2:DescribeSecurityGroupRules": ("describe_security_group_rules", {}),
    "ec2:DescribeNetworkAcls": ("describe_network_acls", {}),
    "ec2:DescribeRouteTables": ("describe_route_tables", {}),
}
"""What finding machines takes: each permission with a call to try it by."""

_GROUP, _INTERFACE = "sg-00000000000000000", "eni-00000000000000000"
_RULE = "sgr-00000000000000000"
_PERMISSION = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}]
_TAGS = [{"Key": "jitgate", "Value": "i-00000000000000000"}]

WRITES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ec2:CreateSecurityGroup": (
        "create_security_group",
        {
            "GroupName": "jitgate-test",
            "Description": "Whether jitgate may.",
            "VpcId": "vpc-00000000000000000",
            "TagSpecifications": [{"ResourceType": "security-group", "Tags": _TAGS}],
        },
    ),
    "ec2:DeleteSecurityGroup": ("delete_security_group", {"GroupId": _GROUP}),
    "ec2:AuthorizeSecurityGroupIngress": (
        "authorize_security_group_ingress",
        {"GroupId": _GROUP, "IpPermissions": _PERMISSION},
    ),
    "ec2:RevokeSecurityGroupIngress": (
        "revoke_security_group_ingress",
        {"GroupId": _GROUP, "SecurityGroupRuleIds": [_RULE]},
    ),
    "ec2:RevokeSecurityGroupEgress": (
        "revoke_security_group_egress",
        {"GroupId": _GROUP, "SecurityGroupRuleIds": [_RULE]},
    ),
    "ec2:UpdateSecurityGroupRuleDescriptionsIngress": (
        "update_security_group_rule_descriptions_ingress",
        {
            "GroupId": _GROUP,
            "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": _RULE, "Description": "jitgate"}],
        },
    ),
    "ec2:ModifyNetworkInterfaceAttribute": (
        "modify_network_interface_attribute",
        {"NetworkInterfaceId": _INTERFACE, "Groups": [_GROUP]},
    ),
    "ec2:CreateTags": ("create_tags", {"Resources": [_RULE], "Tags": _TAGS}),
}
"""What protecting, opening and shutting take besides."""

_LACKS = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})


async def missing(ec2: Ec2) -> Sequence[str]:
    """The permissions that are not there in one region. Raises ConnectorError where Amazon does not answer."""
    needed = {**READS, **WRITES}
    lacks = await asyncio.gather(*(_lacks(ec2, *call) for call in needed.values()))
    return [
        f"{name} in {ec2.region} of account {ec2.account}" for name, lack in zip(needed, lacks, strict=True) if lack
    ]


async def _lacks(ec2: Ec2, operation: str, given: Mapping[str, Any]) -> bool:
    """Whether a call would be refused. That what it names is not there says that it is allowed."""
    try:
        await ec2.ask(operation, DryRun=True, **given)
    except Refused as error:
        if error.is_throttled:
            raise
        return error.code in _LACKS
    return False
