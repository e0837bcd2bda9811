"""``jitgate serve``: from a data directory and an address to running processes."""

import ipaddress
import os
import resource
import socket
from pathlib import Path

from jitgate import log_lines
from jitgate.config.parts import Part
from jitgate.core.errors import Invalid
from jitgate.ops import directory
from jitgate.ops.supervisor import Plan, Supervisor

DEFAULT_LISTEN = "127.0.0.1:8443"
_BACKLOG = 2048
_ALLOWED = "HOST:PORT, for example 127.0.0.1:8443, [::1]:8443 or 0.0.0.0:443"


def serve(data_dir: Path, listen: str, part: Part = Part.ALL) -> int:
    """Serve until told to end; returns an exit code. Raises Invalid, Conflict."""
    raise_descriptor_limit()
    opened = directory.open_directory(data_dir)
    lock = directory.lock(opened)
    try:
        settings = directory.read_settings(opened)
        os.environ[log_lines.FORMAT] = settings.log.format  # for what is started, too
        log_lines.configure()
        _check_part(part, opened.database_url(settings))
        gateways = part.works and directory.take_up(opened, settings)
        notice = directory.notice(opened, settings).total_seconds()
        with _listen(listen) as listening:
            plan = Plan(opened, url_of(listening), listening, lock, gateways, part, notice)
            return Supervisor(plan).run()
    finally:
        os.close(lock)


def raise_descriptor_limit() -> None:
    """As many open files as the machine allows: each agent's poll is one, and by custom a process gets 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _check_part(part: Part, database: str) -> None:
    if part is not Part.ALL and not directory.is_shared(database):
        message = f"{part} is one of several processes, and a file cannot be shared by them"
        raise Invalid("--role", message, allowed="all, or a PostgreSQL database: JITGATE_DATABASE=postgresql://…")


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port. Raises Invalid."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise Invalid("--listen", f"{text!r:.80} is not an address to listen on", allowed=_ALLOWED)
    return host.strip("[]") or "127.0.0.1", int(port)


def url_of(listening: socket.socket) -> str:
    """Where clients on this machine reach it: loopback, when it listens on every address."""
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"https://{address if address.version == 4 else f'[{address}]'}:{port}"


def _listen(text: str) -> socket.socket:
    host, port = parse_listen(text)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Invalid(
            "--listen", f"{text} cannot be listened on: {error.strerror or error}", allowed=_ALLOWED
        ) from error
