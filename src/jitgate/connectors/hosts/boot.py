"""The drop-only ruleset that shuts the protected ports when no agent can: at boot, and after a foreign flush.

It is a file that ``nft -f`` loads (deploy/systemd), and an agent that finds nothing of its own standing. It knows no
grant: a reboot is closed, and the agent opens again what still has time. The enforcer removes the table as soon as its
own stands.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from jitgate.connectors.hosts.table import ALWAYS, BOOT_TABLE, PORTS, Ports, port_element
from jitgate.core.prefixes import Prefix, collapse, family
from jitgate.failpoints import failpoint

FILE = "boot.nft"

_HEAD = f"""\
# Written by jitgate whenever what is protected changes. Shuts the protected ports until the agent is up.
add table inet {BOOT_TABLE}
delete table inet {BOOT_TABLE}
"""

_TABLE = """\
table inet {table} {{
  set {ports} {{ type inet_proto . inet_service; elements = {{ {listed} }} }}
  set {always4} {{ type ipv4_addr; flags interval; {elements4} }}
  set {always6} {{ type ipv6_addr; flags interval; {elements6} }}
  chain inbound {{
    type filter hook prerouting priority -150; policy accept;
    meta l4proto != {{ tcp, udp }} accept
    meta l4proto . th dport != @{ports} accept
    iif lo accept
    fib daddr type != {{ local, broadcast, multicast, anycast }} accept
    ip saddr @{always4} accept
    ip6 saddr @{always6} accept
    # Naming a connection's state makes the kernel put fragments together first.
    ct state invalid drop
    drop
  }}
}}
"""


def render(ports: Ports, always: Sequence[Prefix]) -> str:
    """The ruleset; with no protected port, one that only removes the table."""
    if not ports:
        return _HEAD
    collapsed = collapse(always)
    return _HEAD + _TABLE.format(
        table=BOOT_TABLE,
        ports=PORTS,
        listed=", ".join(port_element(*port) for port in sorted(ports)),
        always4=ALWAYS[4],
        always6=ALWAYS[6],
        elements4=_elements([prefix for prefix in collapsed if family(prefix) == 4]),
        elements6=_elements([prefix for prefix in collapsed if family(prefix) == 6]),
    )


def write(directory: Path, ruleset: str) -> None:
    """Make the file say this, whole or not at all. Raises OSError."""
    path = directory / FILE
    if read(directory) == ruleset:
        return
    directory.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    # Made anew, so that no link which somebody has laid there is followed.
    fresh.unlink(missing_ok=True)
    with fresh.open("x", encoding="ascii") as file:
        file.write(ruleset)
        file.flush()
        os.fsync(file.fileno())
    failpoint("hosts.boot.written")
    fresh.replace(path)
    _sync_directory(directory)


def read(directory: Path) -> str:
    """What the file says; "": there is none. Raises OSError."""
    try:
        return (directory / FILE).read_text("ascii", errors="backslashreplace")
    except FileNotFoundError:
        return ""


def _elements(prefixes: Sequence[Prefix]) -> str:
    return f"elements = {{ {', '.join(prefixes)} }}" if prefixes else ""


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
