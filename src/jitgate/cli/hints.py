"""How to connect, once a port is open."""

import re
import sys

from jitgate.cli.exits import Failure
from jitgate.cli.server import Json

_ADDRESS = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:_%-]*")


def how_to_connect(grant: Json, platform: str = sys.platform) -> str:
    """The command, or the address, that reaches an open port; "" where nobody knows the address."""
    connection = grant["connection"]
    if connection is None or grant["protocol"] == "UDP":
        return "" if connection is None else _with_port(connection)
    address, port = connection["address"], connection["port"]
    if grant["port"] == 22:
        return f"ssh {address}" if port == 22 else f"ssh -p {port} {address}"
    if grant["port"] == 3389:
        return f"{'mstsc' if platform == 'win32' else 'xfreerdp'} /v:{_with_port(connection)}"
    if grant["port"] in (5985, 5986):
        tls = " -UseSSL" if grant["port"] == 5986 else ""
        return f"Enter-PSSession -ComputerName {address} -Port {port}{tls}"
    return _with_port(connection)


def checked_address(text: str) -> str:
    """An address that the server told, for use in a command. Raises Failure for what is none."""
    if not _ADDRESS.fullmatch(text):
        raise Failure(f"The server tells an address that is none: {text!r}. Tell whoever looks after it.")
    return text


def _with_port(connection: Json) -> str:
    address, port = connection["address"], connection["port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
