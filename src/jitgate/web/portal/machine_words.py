"""Machines in words: where they are, what holds their ports, and who reaches them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jitgate.core.catalogue import Front, notices
from jitgate.core.exposure import BADNESS, Exposure, Reach
from jitgate.service.views import MachineView


def group_of(machine_id: str) -> str:
    """The resource group of a machine, as its id writes it."""
    return machine_id.split("/")[4]


def subscription_of(machine_id: str) -> str:
    """The subscription of a machine."""
    return machine_id.split("/")[2]


def front_name(front: Front) -> tuple[str, str]:
    """What holds a machine's ports: an icon and its name."""
    return {
        Front.HOST: ("server", "Host firewall"),
        Front.GATEWAY: ("network", "Gateway"),
        Front.SECURITY_GROUP: ("shield", "Network security group"),
        Front.AZURE_FIREWALL: ("flame", "Azure Firewall"),
        Front.UNKNOWN: ("shield", "Firewall"),
    }[front]


def exposed(one: Exposure) -> str:
    """Who reaches a port, in words: ``22 open to the Internet by rule allow-ssh``."""
    to = {
        Reach.ANYONE: "the Internet",
        Reach.SPECIFIC: f"{_listed(one.sources)} on the Internet",
        Reach.INTERNAL: "the internal network",
    }[one.reach]
    rules = f" by {'rule' if len(one.rules) == 1 else 'rules'} {_listed(one.rules)}" if one.rules else ""
    return f"{one.port} {'would be ' if one.effective_deny else ''}open to {to}{rules}"


def worst(exposures: Sequence[Exposure]) -> Sequence[Exposure]:
    """What is exposed, the worst first; what is shut is left out."""
    return sorted((one for one in exposures if not one.effective_deny), key=lambda one: (-BADNESS[one.reach], one.port))


def port_state(view: MachineView, number: int) -> tuple[str, str, str, str]:
    """How a protected port stands: a tone, a word, an icon, and what else there is to say."""
    found = {why for port, why in view.protected.items() if port.port == number}
    if not found or view.unverified:
        return ("warn", "Not verified", "offline" if view.unverified else "hourglass", "")
    if problem := next(filter(None, found), ""):
        return ("bad", "Not shut", "alert", problem)
    return ("good", "Protected", "lock", "")


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:2])
    return f"{shown} and {len(texts) - 2} more" if len(texts) > 2 else shown or "some addresses"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "group_of": group_of,
    "subscription_of": subscription_of,
    "front_name": front_name,
    "exposed": exposed,
    "worst": worst,
    "port_state": port_state,
    "notices": notices,
}
