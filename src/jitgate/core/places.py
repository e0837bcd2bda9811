"""Where people connect to: addresses, names of hosts, and ranges of ports."""

import re

from jitgate.core import prefixes
from jitgate.core.errors import Invalid

_LABEL = "[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_PORTS = re.compile(r"([0-9]{4,5})-([0-9]{4,5})")


def check_place(text: str, field: str) -> str:
    """An IP address, or a name that has one. Raises Invalid."""
    return text if _HOST_NAME.fullmatch(text) else check_address(text, field)


def check_address(text: str, field: str) -> str:
    """A single IP address, in its canonical spelling. Raises Invalid."""
    address = prefixes.text(prefixes.canonical(text, field))
    if "/" in address:
        raise Invalid(field, f"{address} is many addresses", allowed="an IP address")
    return address


def check_ports(text: str, field: str) -> tuple[int, int]:
    """The first and the last of a range of ports that need no right to be listened on. Raises Invalid."""
    found = _PORTS.fullmatch(text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1024 <= first <= last <= 65535:
        raise Invalid(field, f"{text!r:.60} is not accepted", allowed='"40000-40999": first and last, above 1023')
    return first, last
