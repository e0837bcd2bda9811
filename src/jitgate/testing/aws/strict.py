"""A client of EC2 that is as strict as Amazon where moto is not, and fails, lags and dies where a test wants it to.

It stands before a client of moto's and has the same methods. What it adds: canonical sources, checked ports and
descriptions, groups per interface, quotas for each family, no deletion of what is in use, revokes of all or nothing,
throttling, delayed visibility, and pages.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from jitgate.testing.aws import checks
from jitgate.testing.aws.checks import Json, refuse

READS = "describe_"
_ITEMS = {
    "describe_instances": "Reservations",
    "describe_security_groups": "SecurityGroups",
    "describe_security_group_rules": "SecurityGroupRules",
    "describe_network_interfaces": "NetworkInterfaces",
    "describe_network_acls": "NetworkAcls",
    "describe_route_tables": "RouteTables",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call. `after`: it is carried out first, and only its answer is lost."""

    error: BaseException
    after: bool = False


@dataclass(slots=True)
class Weather:
    """How a region behaves now, for all clients of it.

    `page`     items of a page at most
    `lag`      how many reads after each write still show what was before it
    `denied`   operations that the credentials lack a permission for
    `faults`   by the number of a call, counted from 1, what happens to it
    `chance`   asked before each call what happens to it, in place of `faults`
    `calls`    what was called, in order
    `attached` by interface the groups that were set
    """

    page: int = 1000
    lag: int = 0
    rules_per_group: int = checks.RULES
    denied: frozenset[str] = frozenset()
    throttled: int = 0
    faults: dict[int, Fault] = field(default_factory=dict)
    chance: Callable[[], Fault | None] | None = None
    calls: list[str] = field(default_factory=list)
    attached: dict[str, list[str]] = field(default_factory=dict)
    stale: deque[list[Json]] = field(default_factory=deque)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def count(self) -> Counter[str]:
        """How often each operation was called."""
        return Counter(self.calls)

    def writes(self) -> list[str]:
        """The calls that change something, in order."""
        return [call for call in self.calls if not call.startswith(READS)]


class StrictEc2:
    """A client of EC2, over another one."""

    def __init__(self, real: Any, weather: Weather) -> None:
        self._real = real
        self._weather = weather

    def __getattr__(self, operation: str) -> Callable[..., Json]:
        if operation.startswith("_"):
            raise AttributeError(operation)

        def call(**given: Any) -> Json:
            with self._weather.lock:
                return self._call(operation, given)

        return call

    def close(self) -> None:
        """Let go of connections."""
        self._real.close()

    def _call(self, operation: str, given: Json) -> Json:
        weather = self._weather
        weather.calls.append(operation)
        fault = weather.chance() if weather.chance else weather.faults.get(len(weather.calls))
        if fault is not None and not fault.after:
            raise fault.error
        self._admit(operation, given)
        answer = self._carry_out(operation, given)
        if fault is not None:
            raise fault.error
        return answer

    def _admit(self, operation: str, given: Json) -> None:
        """Raise what a call is refused with before anybody looks at what it is about."""
        weather = self._weather
        if operation in weather.denied:
            raise refuse("UnauthorizedOperation", "You are not authorized to perform this operation.", operation)
        if given.get("DryRun"):
            raise refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", operation)
        if weather.throttled and not operation.startswith(READS):
            weather.throttled -= 1
            raise refuse("RequestLimitExceeded", "Request limit exceeded.", operation)

    def _carry_out(self, operation: str, given: Json) -> Json:
        if operation.startswith(READS):
            return self._read(operation, given)
        before = self._rules(given.get("GroupId"))
        check: Callable[[Json], None] | None = getattr(self, f"_check_{operation}", None)
        if check is not None:
            check(given)
        answer: Json = self._done(operation, given)
        if given.get("GroupId"):
            self._weather.stale = deque([before] * self._weather.lag)
        return answer

    def _done(self, operation: str, given: Json) -> Json:
        if operation == "revoke_security_group_ingress" and given.get("IpPermissions"):
            return self._revoke_by_value(given["GroupId"], given["IpPermissions"])
        answer: Json = getattr(self._real, operation)(**given)
        if operation == "modify_network_interface_attribute" and "Groups" in given:
            self._weather.attached[given["NetworkInterfaceId"]] = list(given["Groups"])
        return answer

    def _revoke_by_value(self, group: str, given: list[Json]) -> Json:
        """What is not there is told in the answer in a default network; elsewhere nothing is revoked at all."""
        held = {checks.identity(rule): rule["SecurityGroupRuleId"] for rule in self._rules(group)}
        asked = checks.parts(checks.permissions(given))
        unknown = [one for identity, one in asked if identity not in held]
        if unknown and not self._is_in_default_network(group):
            raise refuse("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
        if ids := [held[identity] for identity, _ in asked if identity in held]:
            self._real.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=ids)
        return {"Return": True, "UnknownIpPermissions": unknown}

    def _is_in_default_network(self, group: str) -> bool:
        [found] = self._real.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        [network] = self._real.describe_vpcs(VpcIds=[found["VpcId"]])["Vpcs"]
        return bool(network["IsDefault"])

    # --- reading ------------------------------------------------------------------------------------

    def _read(self, operation: str, given: Json) -> Json:
        given = dict(given)
        most, token = given.pop("MaxResults", None), given.pop("NextToken", None)
        if most is not None and not 5 <= most <= (top := self._largest_page(operation)):
            raise refuse("InvalidParameterValue", f"MaxResults must be between 5 and {top}", operation)
        self._check_filters(operation, given)
        answer: Json = dict(getattr(self._real, operation)(**given))
        name = _ITEMS.get(operation)
        if name is None:
            return answer
        items = answer[name]
        if operation == "describe_network_interfaces":
            self._tell_changed(items)
        if operation == "describe_instances":
            self._tell_groups(items)
        if operation == "describe_security_group_rules" and self._weather.stale and given.get("Filters"):
            items = self._weather.stale.popleft()
        begin = int(token or 0)
        size = min(most or len(items) or 1, self._weather.page)
        answer[name] = items[begin : begin + size]
        answer.pop("NextToken", None)
        if begin + size < len(items):
            answer["NextToken"] = str(begin + size)
        return answer

    def _check_filters(self, operation: str, given: Json) -> None:
        """Raise ClientError for a filter that Amazon's own description of the operation does not name."""
        meta = self._real.meta
        members = meta.service_model.operation_model(meta.method_to_api_mapping[operation]).input_shape.members
        told = members["Filters"].documentation if "Filters" in members else ""
        for name in (each["Name"] for each in given.get("Filters", ())):
            if not name.startswith("tag:") and f"<code>{name}</code>" not in told:
                raise refuse("InvalidParameterValue", f"The filter '{name}' is invalid", operation)

    def _largest_page(self, operation: str) -> int:
        """What Amazon's own description of the operation says; of a few it says nothing."""
        meta = self._real.meta
        shape = meta.service_model.operation_model(meta.method_to_api_mapping[operation]).input_shape
        return int(shape.members["MaxResults"].metadata.get("max", 1000))

    def _tell_groups(self, reservations: list[Json]) -> None:
        """Of an instance those of its first interface; and what it runs on."""
        for instance in (each for one in reservations for each in one["Instances"]):
            self._tell_changed(instance.get("NetworkInterfaces", ()))
            held = [interface["Groups"] for interface in instance.get("NetworkInterfaces", ())]
            instance["SecurityGroups"] = held[0] if held else []
            instance["PlatformDetails"] = "Windows" if instance.get("Platform") else "Linux/UNIX"

    def _tell_changed(self, interfaces: Iterable[Json]) -> None:
        """Of interfaces the groups that were set last: moto tells those that their instance began with as well."""
        for interface in interfaces:
            if (held := self._weather.attached.get(interface["NetworkInterfaceId"])) is not None:
                interface["Groups"] = [{"GroupId": each, "GroupName": each} for each in held]

    def _rules(self, group: str | None) -> list[Json]:
        if not group:
            return []
        try:
            found: list[Json] = self._real.describe_security_group_rules(
                Filters=[{"Name": "group-id", "Values": [group]}]
            )["SecurityGroupRules"]
        except ClientError:
            return []
        return found

    def _must_exist(self, group: str) -> None:
        found = self._real.describe_security_groups()["SecurityGroups"]
        if group not in {each["GroupId"] for each in found}:
            raise refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")

    # --- what moto lets pass ------------------------------------------------------------------------

    def _check_authorize_security_group_ingress(self, given: Json) -> None:
        self._must_exist(given["GroupId"])
        given["IpPermissions"] = checks.permissions(given["IpPermissions"])
        standing = [rule for rule in self._rules(given["GroupId"]) if not rule["IsEgress"]]
        checks.quota(standing, given["IpPermissions"], self._weather.rules_per_group, self._weights(given))

    def _weights(self, given: Json) -> Mapping[str, int]:
        lists = [one["PrefixListId"] for each in given["IpPermissions"] for one in each.get("PrefixListIds", ())]
        lists += [rule["PrefixListId"] for rule in self._rules(given["GroupId"]) if rule.get("PrefixListId")]
        if not lists:
            return {}
        found = self._real.describe_managed_prefix_lists(PrefixListIds=lists)["PrefixLists"]
        return {each["PrefixListId"]: each.get("MaxEntries", 1) for each in found}

    def _check_update_security_group_rule_descriptions_ingress(self, given: Json) -> None:
        for each in given["SecurityGroupRuleDescriptions"]:
            checks.description(each.get("Description", ""))

    def _check_revoke_security_group_ingress(self, given: Json) -> None:
        self._must_exist(given["GroupId"])
        self._must_hold(given)

    def _check_revoke_security_group_egress(self, given: Json) -> None:
        self._must_hold(given)

    def _must_hold(self, given: Json) -> None:
        held = {rule["SecurityGroupRuleId"] for rule in self._rules(given["GroupId"])}
        for one in given.get("SecurityGroupRuleIds", ()):
            if one not in held:
                unknown = f"The security group rule ID '{one}' does not exist"
                raise refuse("InvalidSecurityGroupRuleId.NotFound", unknown)

    def _check_delete_security_group(self, given: Json) -> None:
        self._must_exist(given["GroupId"])
        group = given["GroupId"]
        for each in self._read("describe_network_interfaces", {})["NetworkInterfaces"]:
            if group in {one["GroupId"] for one in each["Groups"]}:
                raise refuse("DependencyViolation", f"resource {group} has a dependent object")

    def _check_modify_network_interface_attribute(self, given: Json) -> None:
        if "Groups" not in given:
            return
        found = self._real.describe_network_interfaces(NetworkInterfaceIds=[given["NetworkInterfaceId"]])
        known: Mapping[str, str] = {
            each["GroupId"]: each["VpcId"] for each in self._real.describe_security_groups()["SecurityGroups"]
        }
        checks.groups(given["Groups"], known, found["NetworkInterfaces"][0]["VpcId"])
