"""Azure's rules as layers and ways: what Azure lists of a subscription, as plain JSON, in the words of `analysis`.

Inbound packets pass the security admin rules of a virtual network manager, then the group of the subnet, then that of
the interface (Microsoft Learn, "Network security groups: how they filter traffic"). The groups see the source after a
firewall's DNAT, and the private address as the destination.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jitgate.core.desired import Protocol
from jitgate.core.exposure import Exposure, addresses
from jitgate.core.exposure.addresses import EVERY_IPV4, EVERY_IPV6, EVERY_NAME, EVERYWHERE, NOWHERE, Addresses
from jitgate.core.exposure.analysis import PRIVATE, Place, Way, exposures
from jitgate.core.exposure.layers import ALL_PORTS, Layer, Ports, Rule, Verdict
from jitgate.core.resource_id import key

Json = Mapping[str, Any]

PLATFORM = addresses.of_prefixes(["168.63.129.16"])
"""Azure's own address, as which load balancers probe and agents are told; the Internet cannot send from it."""

_INTERNET = (EVERYWHERE - PRIVATE - PLATFORM) - EVERY_NAME
_VERDICTS = {"allow": Verdict.ALLOW, "deny": Verdict.DENY, "alwaysallow": Verdict.ALWAYS}
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "*": Protocol.ANY, "any": Protocol.ANY}
_DEFAULTS = (
    ("AllowVnetInBound", "allow", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", "allow", "AzureLoadBalancer"),
    ("DenyAllInBound", "deny", "*"),
)


@dataclass(frozen=True)
class Subscription:
    """What Azure lists: bodies of resources, as its API tells them.

    `tags`         prefixes of service tags by name; a tag that is not here stays a name
    `admin_rules`  the effective security admin rules by the key of their virtual network
    `is_ours`      whether jitgate wrote a rule, by its body
    """

    groups: Sequence[Json] = ()
    networks: Sequence[Json] = ()
    interfaces: Sequence[Json] = ()
    public_addresses: Sequence[Json] = ()
    route_tables: Sequence[Json] = ()
    firewalls: Sequence[Json] = ()
    balancers: Sequence[Json] = ()
    tags: Mapping[str, Sequence[str]] | None = None
    admin_rules: Mapping[str, Sequence[Json]] | None = None
    is_ours: Callable[[Json], bool] = lambda _: False


class Analysis:
    """Works out who reaches the machines of a subscription. Layers that machines share are made once."""

    def __init__(self, told: Subscription) -> None:
        self._told = told
        self._layers: dict[tuple[str, str, str], Layer] = {}
        self._spaces: dict[str, Addresses] = {}
        self._tags = {key(name): addresses.of_prefixes(found) for name, found in (told.tags or {}).items()}
        self._interfaces = _by_key(told.interfaces)
        self._groups = _by_key(told.groups)
        self._networks = _by_key(told.networks)
        self._tables = _by_key(told.route_tables)
        self._public = _by_key(told.public_addresses)
        self._subnets = {key(each["id"]): each for network in told.networks for each in _list(network, "subnets")}

    def exposures(self, interfaces: Iterable[str], ports: Iterable[tuple[int, Protocol]]) -> tuple[Exposure, ...]:
        """Who reaches these ports of the machine with these interfaces (ids), without what was granted."""
        places = [place for each in interfaces for place in self.places(each)]
        return exposures(places, ports)

    # --- places -----------------------------------------------------------------------------------------

    def places(self, id: str) -> Iterator[Place]:
        """The addresses of an interface, with what is in front of each."""
        interface = self._interfaces.get(key(id), {})
        for part in _list(interface, "ipConfigurations"):
            told = _properties(part)
            address, subnet = told.get("privateIPAddress"), _id(told, "subnet")
            if not address:
                continue
            groups = [_id(_properties(self._subnets.get(subnet, {})), "networkSecurityGroup")]
            groups.append(_id(_properties(interface), "networkSecurityGroup"))
            layers = self._layers_of(subnet, [group for group in groups if group in self._groups])
            ways = self._ways(told, address, is_guarded=any(group in self._groups for group in groups))
            yield Place(address, layers, tuple(ways), PRIVATE | PLATFORM | self._space(subnet) | EVERY_NAME)

    def _layers_of(self, subnet: str, groups: Sequence[str]) -> list[Layer]:
        network = subnet.partition("/subnets/")[0]
        found = [self._layer(group, subnet) for group in groups]
        rules = (self._told.admin_rules or {}).get(network)
        return [self._admin_layer(network, subnet, rules), *found] if rules else found

    # --- rules ------------------------------------------------------------------------------------------

    def _layer(self, group: str, subnet: str) -> Layer:
        """The rules of a group, as they are for a subnet: what counts as the virtual network depends on it."""
        table = _id(_properties(self._subnets.get(subnet, {})), "routeTable")
        at = (group, subnet.partition("/subnets/")[0], table)
        if (made := self._layers.get(at)) is None:
            body = self._groups[group]
            bodies = [*_list(body, "securityRules"), *(_list(body, "defaultSecurityRules") or _default_rules())]
            made = self._layers[at] = Layer(list(self._rules(bodies, body.get("name", ""), subnet, self._told.is_ours)))
        return made

    def _admin_layer(self, network: str, subnet: str, bodies: Sequence[Json]) -> Layer:
        at = ("", network, _id(_properties(self._subnets.get(subnet, {})), "routeTable"))
        if (made := self._layers.get(at)) is None:
            made = self._layers[at] = Layer(list(self._rules(bodies, "admin", subnet, lambda _: False)), Verdict.ALLOW)
        return made

    def _rules(
        self, bodies: Iterable[Json], within: str, subnet: str, is_ours: Callable[[Json], bool]
    ) -> Iterator[Rule]:
        inbound = (each for each in bodies if key(_properties(each).get("direction", "")) == "inbound")
        for body in sorted(inbound, key=lambda each: int(_properties(each).get("priority", 0))):
            rule = self._rule(body, within, subnet, ours=is_ours(body))
            if rule is not None:
                yield rule

    def _rule(self, body: Json, within: str, subnet: str, *, ours: bool) -> Rule | None:
        told = _properties(body)
        protocol, verdict = _PROTOCOLS.get(key(told.get("protocol", "*"))), _VERDICTS.get(key(told.get("access", "")))
        if protocol is None or verdict is None:
            return None
        is_denied = verdict is Verdict.DENY
        sources = self._addresses(_texts(told, "source"), subnet, is_denied=is_denied)
        destinations = _texts(told, "destination")
        is_any = "*" in destinations or (not is_denied and not all(map(self._is_known, destinations)))
        return Rule(
            id=f"{within}/{body.get('name') or key(body.get('id', '')).rpartition('/')[2]}",
            verdict=verdict,
            sources=sources,
            ports=_ports(_all_of(told, "destinationPortRange")),
            protocol=protocol,
            destinations=None if is_any else self._addresses(destinations, subnet, is_denied=is_denied),
            ours=ours,
            condition=_condition(told),
        )

    # --- addresses --------------------------------------------------------------------------------------

    def _addresses(self, texts: Sequence[str], subnet: str, *, is_denied: bool) -> Addresses:
        if any(text in ("*", "any") for text in texts):
            return EVERYWHERE
        prefixes = [text for text in texts if addresses.is_prefix(text)]
        found = addresses.of_prefixes(prefixes)
        for text in texts:
            if not addresses.is_prefix(text):
                found |= self._named(text, subnet, is_denied=is_denied)
        return found

    def _named(self, text: str, subnet: str, *, is_denied: bool) -> Addresses:
        """What a tag or an application security group stands for; a name, where that is not known."""
        if text in self._members:
            return self._members[text]
        if text == "internet":
            return _INTERNET - self._space(subnet)
        if text == "virtualnetwork":
            # What user-defined routes name counts as well: that much may be allowed, but is not denied for certain.
            return self._space(subnet) if is_denied else self._space(subnet) | self._routed(subnet)
        if text == "azureloadbalancer":
            return PLATFORM
        return self._tags.get(text) or addresses.of_name(text)

    def _is_known(self, text: str) -> bool:
        known = text in self._members or text in self._tags or text in ("internet", "virtualnetwork")
        return known or addresses.is_prefix(text)

    def _space(self, subnet: str) -> Addresses:
        """The virtual network of a subnet, and those that it is joined with."""
        network = subnet.partition("/subnets/")[0]
        if (found := self._spaces.get(network)) is None:
            body = self._networks.get(network, {})
            prefixes = [*_prefixes(_properties(body), "addressSpace")]
            for peering in _list(body, "virtualNetworkPeerings"):
                prefixes += _prefixes(_properties(peering), "remoteAddressSpace")
            found = self._spaces[network] = addresses.of_prefixes(prefixes)
        return found

    def _routed(self, subnet: str) -> Addresses:
        table = self._tables.get(_id(_properties(self._subnets.get(subnet, {})), "routeTable"), {})
        prefixes = [_properties(route).get("addressPrefix", "") for route in _list(table, "routes")]
        return addresses.of_prefixes(filter(addresses.is_prefix, prefixes))

    @cached_property
    def _members(self) -> dict[str, Addresses]:
        """The addresses in each application security group, by its key."""
        found: dict[str, list[str]] = {}
        for interface in self._told.interfaces:
            for told in map(_properties, _list(interface, "ipConfigurations")):
                for group in told.get("applicationSecurityGroups") or ():
                    found.setdefault(key(group["id"]), []).append(told["privateIPAddress"])
        return {group: addresses.of_prefixes(members) for group, members in found.items()}

    # --- ways -------------------------------------------------------------------------------------------

    def _ways(self, told: Json, address: str, *, is_guarded: bool) -> Iterator[Way]:
        public = self._public.get(_id(told, "publicIPAddress"))
        # Without a group, an address of the standard kind lets nothing in (Microsoft Learn, "Public IP addresses").
        if public is not None and (is_guarded or _sku(public) == "basic"):
            yield Way("", _everyone(address))
        targets = [
            *(told.get("loadBalancerBackendAddressPools") or ()),
            *(told.get("loadBalancerInboundNatRules") or ()),
        ]
        for each in targets if is_guarded else ():
            yield from self._by_balancer.get(key(each["id"]), ())
        yield from self._by_firewall.get(address, ())

    @cached_property
    def _by_balancer(self) -> Mapping[str, Sequence[Way]]:
        """Ways through public load balancers, by the key of a pool or of an inbound NAT rule."""
        found: dict[str, list[Way]] = {}
        for balancer in self._told.balancers:
            frontends = {key(each["id"]): _properties(each) for each in _list(balancer, "frontendIPConfigurations")}
            for name in ("loadBalancingRules", "inboundNatRules"):
                for body in _list(balancer, name):
                    told = _properties(body)
                    if _id(frontends.get(_id(told, "frontendIPConfiguration"), {}), "publicIPAddress"):
                        way = _balanced(f"{balancer.get('name')}/{body.get('name')}", told)
                        targets = [_id(told, "backendAddressPool"), key(body.get("id", ""))]
                        for target in targets if name == "loadBalancingRules" else targets[1:]:
                            found.setdefault(target, []).append(way)
        return found

    @cached_property
    def _by_firewall(self) -> Mapping[str, Sequence[Way]]:
        """Ways through DNAT of firewalls, by the address that they lead to."""
        found: dict[str, list[Way]] = {}
        for firewall in self._told.firewalls:
            parts = [_properties(each) for each in _list(firewall, "ipConfigurations")]
            subnets = [_properties(self._subnets.get(_id(part, "subnet"), {})) for part in parts]
            arriving = addresses.of_prefixes(prefix for told in subnets for prefix in _all_of(told, "addressPrefix"))
            for collection in _list(firewall, "natRuleCollections"):
                for rule in _list(collection, "rules"):
                    if not self._told.is_ours(rule):
                        way = self._translated(f"{firewall.get('name')}/{rule.get('name')}", rule, arriving)
                        found.setdefault(rule.get("translatedAddress", ""), []).append(way)
        return found

    def _translated(self, name: str, rule: Json, arriving: Addresses) -> Way:
        texts = [key(each) for each in rule.get("sourceAddresses") or ()]
        sources = NOWHERE
        for text in texts:
            first, dash, last = text.partition("-")
            is_range = dash and addresses.is_prefix(first) and addresses.is_prefix(last)
            sources |= addresses.of_range(first, last) if is_range else self._addresses([text], "", is_denied=False)
        for group in rule.get("sourceIpGroups") or ():
            sources |= addresses.of_name(group.rpartition("/")[2])
        port = str(rule.get("translatedPort", ""))
        protocols = [each for text in rule.get("protocols") or () for each in _each(text)]
        ports = frozenset((int(port), each) for each in protocols) if port.isdecimal() else frozenset()
        return Way(name, sources, arriving, ports)


def _balanced(name: str, told: Json) -> Way:
    port = told.get("backendPort")
    ports = frozenset((int(port), each) for each in _each(told.get("protocol", "*"))) if port else None
    return Way(name, EVERY_IPV4 | EVERY_IPV6 | EVERY_NAME, None, ports)


def _each(text: str) -> tuple[Protocol, ...]:
    found = {"all": Protocol.ANY, **_PROTOCOLS}.get(key(text))
    return found.each if found else ()


def _everyone(address: str) -> Addresses:
    return ((EVERY_IPV6 if ":" in address else EVERY_IPV4) | EVERY_NAME) - PLATFORM


def _default_rules() -> Sequence[Json]:
    return [
        {
            "name": name,
            "properties": {
                "direction": "Inbound",
                "access": access,
                "priority": 65000 + index,
                "protocol": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": "VirtualNetwork" if source == "VirtualNetwork" else "*",
                "destinationPortRange": "*",
            },
        }
        for index, (name, access, source) in enumerate(_DEFAULTS)
    ]


def _texts(told: Json, end: str) -> list[str]:
    """A rule's addresses, tags and application security groups: those of a group, and of an admin rule."""
    found = [key(each) for each in _all_of(told, f"{end}AddressPrefix")]
    found += [key(each["id"]) for each in told.get(f"{end}ApplicationSecurityGroups") or ()]
    found += [key(each["addressPrefix"]) for each in told.get(f"{end}s") or ()]
    # An admin rule that names no addresses is about all.
    return found or ["*"]


def _condition(told: Json) -> str:
    ranges = [each for each in _all_of(told, "sourcePortRange") if each not in ("*", "0-65535")]
    return f"from source ports {', '.join(ranges)}" if ranges else ""


def _ports(texts: Sequence[str]) -> Ports:
    if not texts or "*" in texts:
        return ALL_PORTS
    return tuple((int(low), int(high or low)) for low, _, high in (text.partition("-") for text in texts))


def _all_of(told: Json, name: str) -> list[str]:
    """A property that Azure tells as one value, or as several under the name with an s."""
    several = told.get(f"{name}s") or told.get(f"{name}es") or ()
    return [*([told[name]] if told.get(name) else []), *several]


def _prefixes(told: Json, name: str) -> Iterable[str]:
    found: Sequence[str] = (told.get(name) or {}).get("addressPrefixes") or ()
    return filter(addresses.is_prefix, found)


def _by_key(bodies: Iterable[Json]) -> dict[str, Json]:
    return {key(body["id"]): body for body in bodies}


def _properties(body: Json) -> Json:
    found: Json = body.get("properties") or {}
    return found


def _list(body: Json, name: str) -> Sequence[Json]:
    found: Sequence[Json] = _properties(body).get(name) or ()
    return found


def _id(told: Json, name: str) -> str:
    return key((told.get(name) or {}).get("id", ""))


def _sku(body: Json) -> str:
    return key((body.get("sku") or {}).get("name", "standard"))
