"""The line that connects, for people to copy: by what usually answers at a port."""

from jitgate.service.views import GrantView


def line(view: GrantView) -> str:
    """For an open grant; "" while it is not known where to connect to."""
    address, port, number = view.connection, view.mapped_port or view.grant.port, view.grant.port
    if not address:
        return ""
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return {
        22: f"ssh {address}" if port == 22 else f"ssh -p {port} {address}",
        3389: f"mstsc /v:{place}",
        5985: f"Enter-PSSession -ComputerName {address} -Port {port}",
        5986: f"Enter-PSSession -ComputerName {address} -Port {port} -UseSSL",
    }.get(number, place)


def rdp_file(view: GrantView) -> str:
    """A remote desktop file for an open grant; the machine asks for its own credentials."""
    port = view.mapped_port or view.grant.port
    place = f"[{view.connection}]:{port}" if ":" in view.connection else f"{view.connection}:{port}"
    lines = [
        f"full address:s:{place}",
        "prompt for credentials:i:1",
        "authentication level:i:2",
        "redirectclipboard:i:1",
    ]
    return "\r\n".join(lines) + "\r\n"


def file_name(view: GrantView) -> str:
    """A machine's name, of letters that are good in a file's."""
    return (
        "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in view.machine_name)[:100] or "machine"
    )
