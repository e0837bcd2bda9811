"""What a network security group takes: its rules, their limits and their conflicts, and the default rules."""

import contextlib
import ipaddress
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jitgate.testing.azure.messages import Json, bad

MOST_RULES, MOST_PREFIXES = 1000, 4000
LONGEST_NAME, LONGEST_DESCRIPTION = 80, 140
FIRST_PRIORITY, LAST_PRIORITY = 100, 4096

_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
_PROTOCOLS = {"tcp", "udp", "icmp", "esp", "ah", "*"}
_SPECIAL = {"*", "virtualnetwork", "internet", "azureloadbalancer"}


def _default(name: str, priority: int, access: str, source: str, destination: str, direction: str) -> Json:
    return {
        "name": name,
        "properties": {
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "access": access,
            "priority": priority,
            "direction": direction,
        },
    }


DEFAULTS: Sequence[Json] = (
    _default("AllowVnetInBound", 65000, "Allow", "VirtualNetwork", "VirtualNetwork", "Inbound"),
    _default("AllowAzureLoadBalancerInBound", 65001, "Allow", "AzureLoadBalancer", "*", "Inbound"),
    _default("DenyAllInBound", 65500, "Deny", "*", "*", "Inbound"),
    _default("AllowVnetOutBound", 65000, "Allow", "VirtualNetwork", "VirtualNetwork", "Outbound"),
    _default("AllowInternetOutBound", 65001, "Allow", "*", "Internet", "Outbound"),
    _default("DenyAllOutBound", 65500, "Deny", "*", "*", "Outbound"),
)


def check_name(name: str) -> None:
    """Raise Refusal for a name that no rule may have."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise bad(
            "InvalidResourceName",
            f"Resource name {name} is invalid. The name can be up to 80 characters long. It must begin with a word "
            "character, and it must end with a word character or with '_'. The name may contain word characters or '.',"
            " '-', '_'.",
        )


def check_group(rules: Sequence[Json]) -> None:
    """Raise Refusal unless these can be the rules of one group, together with the default ones."""
    if len(rules) > MOST_RULES:
        message = f"A security group cannot have more than {MOST_RULES} security rules."
        raise bad("SecurityRuleCountLimitReached", message)
    for rule in rules:
        _check_rule(rule)
    _check_conflicts(rules)
    for end in ("source", "destination"):
        count = sum(len(prefixes(rule["properties"], end)) for rule in rules)
        if count > MOST_PREFIXES:
            raise bad(
                "SecurityGroupAddressPrefixLimitReached",
                f"A security group cannot have more than {MOST_PREFIXES} {end} addresses and ranges; it would have "
                f"{count}.",
            )


def prefixes(properties: Mapping[str, Any], end: str) -> list[str]:
    """The addresses of a rule's source or destination, singular and plural."""
    single, several = properties.get(f"{end}AddressPrefix"), properties.get(f"{end}AddressPrefixes") or []
    return [*([single] if single else []), *several]


def ports(properties: Mapping[str, Any], end: str) -> list[str]:
    """The port ranges of a rule's source or destination, singular and plural."""
    single, several = properties.get(f"{end}PortRange"), properties.get(f"{end}PortRanges") or []
    return [*([single] if single else []), *several]


def _check_conflicts(rules: Iterable[Json]) -> None:
    taken: dict[tuple[int, str], str] = {}
    defaults = {rule["name"].lower() for rule in DEFAULTS}
    for rule in rules:
        name, properties = rule["name"], rule["properties"]
        at = (properties["priority"], properties["direction"].lower())
        if at in taken or name.lower() in defaults:
            raise bad(
                "SecurityRuleConflict",
                f"Security rule {name} conflicts with rule {taken.get(at, name)}. Rules cannot have the same Priority "
                "and Direction.",
            )
        taken[at] = name


def _check_rule(rule: Json) -> None:
    check_name(rule["name"])
    properties = rule.get("properties") or {}
    for name in ("priority", "direction", "access", "protocol"):
        if name not in properties:
            raise bad("InvalidRequestFormat", f"Required property '{name}' of security rule {rule['name']} is missing.")
    if not FIRST_PRIORITY <= properties["priority"] <= LAST_PRIORITY:
        raise bad(
            "SecurityRuleInvalidPriority",
            f"Security rule {rule['name']} has an invalid priority {properties['priority']}: it must be between "
            f"{FIRST_PRIORITY} and {LAST_PRIORITY}.",
        )
    if len(properties.get("description") or "") > LONGEST_DESCRIPTION:
        raise bad(
            "SecurityRuleDescriptionTooLong",
            f"The description of security rule {rule['name']} is longer than {LONGEST_DESCRIPTION} characters.",
        )
    _check_words(rule["name"], properties)
    for end in ("source", "destination"):
        _check_addresses(rule["name"], properties, end)
        _check_overlaps(rule["name"], properties, end)
        _check_ports(rule["name"], properties, end)


def _check_overlaps(name: str, properties: Mapping[str, Any], end: str) -> None:
    """As recorded in cloud-provider-azure#6775 and data-safe-haven#2077."""
    networks = []
    for each in prefixes(properties, end):
        with contextlib.suppress(ValueError):
            networks.append(ipaddress.ip_network(each))
    networks.sort(key=lambda one: (one.version, one.network_address, one.prefixlen))
    for wide, narrow in itertools.pairwise(networks):
        if wide.version == narrow.version and narrow.network_address in wide:
            raise bad(
                "OverlappingSubnetsNotPermittedInSecurityRule",
                f"Security rule parameter {end.capitalize()}AddressPrefixes for rule {name} cannot specify overlapping "
                f"subnets: {wide}, {narrow}.",
            )


def _check_words(name: str, properties: Mapping[str, Any]) -> None:
    allowed = {"direction": {"inbound", "outbound"}, "access": {"allow", "deny"}, "protocol": _PROTOCOLS}
    for field, words in allowed.items():
        if str(properties[field]).lower() not in words:
            raise bad("InvalidRequestFormat", f"{properties[field]!r} is not a value for {field} of {name}.")


def _check_addresses(name: str, properties: Mapping[str, Any], end: str) -> None:
    several = properties.get(f"{end}AddressPrefixes") or []
    given = prefixes(properties, end)
    groups = properties.get(f"{end}ApplicationSecurityGroups") or []
    if not given and not groups:
        raise bad("SecurityRuleMissingAddressPrefix", f"Security rule {name} has no {end} address.")
    if properties.get(f"{end}AddressPrefix") and several:
        raise bad("SecurityRuleAddressPrefixConflict", f"Security rule {name} has {end} prefix and prefixes.")
    for prefix in several:
        # Lists hold addresses and ranges only; a tag stands alone.
        if prefix.lower() in _SPECIAL or not _is_network(prefix):
            raise bad(
                "SecurityRuleParameterContainsUnsupportedValue",
                f"Security rule parameter {end.title()}AddressPrefix for rule {name} cannot specify existing "
                f"VIRTUALNETWORK, INTERNET, AZURELOADBALANCER, '*' or system tags. Unsupported value used: {prefix}.",
            )
    if len({":" in prefix for prefix in given if _is_network(prefix)}) > 1:
        raise bad("SecurityRuleMixedAddressFamilies", f"Security rule {name} mixes IPv4 and IPv6 as {end}.")


def _check_ports(name: str, properties: Mapping[str, Any], end: str) -> None:
    for text in ports(properties, end):
        first, _, last = text.partition("-")
        numbers = [first, last or first]
        is_range = all(each.isdecimal() for each in numbers) and 0 <= int(numbers[0]) <= int(numbers[1]) <= 65535
        if text != "*" and not is_range:
            raise bad(
                "SecurityRuleInvalidPortRange",
                f"Security rule {name} has invalid Port range. Value provided: {text}. Value should be an integer OR "
                "integer range with '-' delimiter. Valid range 0-65535.",
            )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
