"""Exposure: who can reach a port, whether or not somebody has granted it."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jitgate.core.desired import Protocol

_INTERNAL_V4 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8")
_INTERNAL_V6 = ("fc00::/7", "fe80::/10", "::1/128")
INTERNAL = tuple(map(ipaddress.ip_network, (*_INTERNAL_V4, *_INTERNAL_V6)))
"""Addresses that the Internet does not lead to (RFC 1918, 6598, 3927, 4193, 4291)."""


class Reach(StrEnum):
    """From where. `internal`: from private addresses, or by way of them; `specific`: from some addresses of the
    Internet; `anyone`: from all of the Internet, or so much of it that it makes no difference."""

    INTERNAL = "internal"
    SPECIFIC = "specific"
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who reaches one port of a machine without a grant.

    `protocol`        TCP or UDP
    `sources`         from where: prefixes, and names of address sets that are not known (service tags)
    `rules`           the rules that decide so, by the ids or names that people find them by
    `effective_deny`  jitgate's deny holds: nobody does. The rest tells who would if it went
    `note`            what else a person should know; "" for nothing
    """

    port: int
    protocol: Protocol
    reach: Reach
    sources: Sequence[str] = ()
    rules: Sequence[str] = ()
    effective_deny: bool = False
    note: str = ""


def is_internal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the Internet does not lead to this address."""
    return any(address in network for network in INTERNAL)


BADNESS = {Reach.INTERNAL: 1, Reach.SPECIFIC: 2, Reach.ANYONE: 3}


def badness(exposures: Iterable[Exposure]) -> int:
    """How exposed a machine is, for sorting: 0 not at all, 1 internally, 2 to some of the Internet, 3 to anyone."""
    return max((BADNESS[one.reach] for one in exposures if not one.effective_deny), default=0)
