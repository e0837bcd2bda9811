"""What Amazon refuses and moto takes: ports, descriptions, sources, groups of interfaces, quotas."""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

Json = dict[str, Any]
SLOTS, RULES = 5, 60
_DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")
_SOURCES = (
    ("IpRanges", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6"),
    ("PrefixListIds", "PrefixListId"),
    ("UserIdGroupPairs", "GroupId"),
)
_LISTS = (("IpRanges", "CidrIp", 4), ("Ipv6Ranges", "CidrIpv6", 6))


def refuse(code: str, message: str, operation: str = "Call") -> ClientError:
    """An error as botocore raises it."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def permissions(given: Iterable[Json]) -> list[Json]:
    """Permissions as Amazon takes them: checked, and with canonical sources. Raises ClientError."""
    return [_permission(dict(each)) for each in given]


def description(text: str) -> None:
    """Raise ClientError for a description that Amazon does not take."""
    if not _DESCRIPTION.fullmatch(text):
        raise refuse("InvalidParameterValue", "Invalid rule description. 255 of a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")


def groups(wanted: Sequence[str], known: Mapping[str, str], vpc: str) -> None:
    """Raise ClientError for groups that an interface cannot have. `known`: by id the network of each."""
    if not wanted:
        raise refuse("InvalidParameterValue", "At least one security group is required")
    for group in wanted:
        if group not in known:
            raise refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        if known[group] != vpc:
            raise refuse("InvalidParameterValue", f"Security group {group} and the interface are in different networks")
    if len(set(wanted)) > SLOTS:
        raise refuse("SecurityGroupsPerInterfaceLimitExceeded", "The maximum number of groups per interface is 5")


def quota(
    standing: Iterable[Json], new: Iterable[Json], most: int = RULES, weights: Mapping[str, int] | None = None
) -> None:
    """Raise ClientError where a group would hold too many rules. The two families count apart.

    `weights`: by prefix list, the entries that it may have at the most: for so many rules it counts.
    """
    weights = weights or {}
    counts = {4: 0, 6: 0}
    for rule in standing:
        counts[6 if rule.get("CidrIpv6") else 4] += weights.get(rule.get("PrefixListId", ""), 1)
    for each in new:
        for name, _, family in _LISTS:
            counts[family] += len(each.get(name, ()))
        counts[4] += len(each.get("UserIdGroupPairs", ()))
        counts[4] += sum(weights.get(one["PrefixListId"], 1) for one in each.get("PrefixListIds", ()))
    if max(counts.values()) > most:
        raise refuse("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group is reached")


def parts(given: Iterable[Json]) -> list[tuple[str, Json]]:
    """Permissions one source each: what Amazon tells rules apart by, not by their description; and as it was given."""
    found = []
    for each in given:
        bounds: Json = {name: each[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in each}
        for name, word in _SOURCES:
            found += [(_identity(bounds, one.get(word)), {**bounds, name: [one]}) for one in each.get(name, ())]
    return found


def identity(rule: Json) -> str:
    """The same of a rule that stands."""
    source = rule.get("CidrIpv4") or rule.get("CidrIpv6") or rule.get("PrefixListId")
    return _identity(rule, source or rule.get("ReferencedGroupInfo", {}).get("GroupId"))


def _identity(rule: Json, source: object) -> str:
    return f"{rule['IpProtocol']}/{rule.get('FromPort', -1)}/{rule.get('ToPort', -1)}/{source}"


def _permission(given: Json) -> Json:
    first, last = given.get("FromPort", -1), given.get("ToPort", -1)
    if str(given["IpProtocol"]) in ("tcp", "udp", "6", "17") and not 0 <= first <= last <= 65535:
        raise refuse("InvalidParameterValue", f"Invalid value for portRange: {first}-{last}")
    for name, cidr, family in _LISTS:
        if name in given:
            given[name] = [_range(dict(each), cidr, family) for each in given[name]]
    for each in (*given.get("UserIdGroupPairs", ()), *given.get("PrefixListIds", ())):
        description(each.get("Description", ""))
    return given


def _range(given: Json, name: str, family: int) -> Json:
    description(given.get("Description", ""))
    try:
        network = ipaddress.ip_network(given[name], strict=False)
    except ValueError:
        network = None
    if network is None or network.version != family:
        raise refuse("InvalidParameterValue", f"CIDR block {given[name]} is malformed")
    return {**given, name: str(network)}
