"""Security groups in force: a network namespace between clients and instances, filtered by nftables.

Groups only allow; what no rule of any group of an interface lets through is dropped. Established sessions are tracked,
and go on when their rule has gone, as with Amazon.
"""

from collections.abc import Iterable
from typing import Any

from jitgate.testing.aws.checks import Json
from jitgate.testing.nftables import FAMILIES, Filters, chain, table

_ANY = "-1"
_NUMBERS = {"6": "tcp", "17": "udp"}


class DataPlane:
    """Keeps the filter of a namespace as a region says. `client`: of moto's EC2; `sync` after changes."""

    def __init__(self, client: Any, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._filters = Filters()

    def sync(self) -> None:
        """Load what is effective now, where it has changed. Raises CalledProcessError when nft refuses."""
        interfaces = self._client.describe_network_interfaces()["NetworkInterfaces"]
        rules = self._client.describe_security_group_rules()["SecurityGroupRules"]
        self._filters.load(self._namespace, "groups", compiled(interfaces, rules))


def compiled(interfaces: Iterable[Json], rules: Iterable[Json]) -> str:
    """The groups of all interfaces, as text for nft."""
    by_group: dict[str, list[Json]] = {}
    for each in rules:
        by_group.setdefault(each["GroupId"], []).append(each)
    chains, passing = [], ["ct direction reply accept"]
    for interface in interfaces:
        name = interface["NetworkInterfaceId"].replace("-", "_")
        held = [each for group in interface["Groups"] for each in by_group.get(group["GroupId"], ())]
        chains.append(chain(name, "", ["ct state established,related accept", *accepts(held), "drop"]))
        passing += [f"{at} jump {name}" for at in _addresses(interface)]
    hook = "type filter hook forward priority filter; policy accept;"
    return table("groups", [*chains, chain("passing", hook, passing)])


def accepts(rules: Iterable[Json]) -> list[str]:
    """What rules let in, each as a line for nft. Sources other than addresses are left out."""
    return [line for each in rules if not each["IsEgress"] and (line := _accept(each))]


def _accept(rule: Json) -> str:
    cidr = rule.get("CidrIpv4") or rule.get("CidrIpv6")
    if not cidr:
        return ""
    protocol = _NUMBERS.get(str(rule["IpProtocol"]), str(rule["IpProtocol"]))
    source = f"{FAMILIES[6 if ':' in cidr else 4]} saddr {cidr}"
    if protocol == _ANY:
        return f"{source} accept"
    return f"{source} {protocol} dport {rule['FromPort']}-{rule['ToPort']} accept" if protocol in ("tcp", "udp") else ""


def _addresses(interface: Json) -> list[str]:
    fours = [f"ip daddr {each['PrivateIpAddress']}" for each in interface["PrivateIpAddresses"]]
    return fours + [f"ip6 daddr {each['Ipv6Address']}" for each in interface.get("Ipv6Addresses", ())]
