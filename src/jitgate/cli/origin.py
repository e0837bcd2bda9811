"""Where a connection will come from: what ``--from`` means.

``me`` is what the server sees, through its trusted proxies; else, where the server sees only loopback because it
runs right here, the client of the SSH session that this command runs in; else nothing: it asks. It never means
loopback, because nobody far away comes from there.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.request import getproxies, proxy_bypass

import typer

from jitgate.cli.exits import Failure, Usage
from jitgate.cli.place import is_loopback
from jitgate.cli.server import Server, path
from jitgate.core import prefixes
from jitgate.core.errors import Invalid
from jitgate.core.prefixes import Prefix

ME = "me"
ANYWHERE = ("any", "anywhere", "*")
_ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - not to listen on: it chooses the family of a connection

FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        help="Source address or prefix; me: where you are; any. May be repeated. Without it: me.",
        metavar="SOURCE",
    ),
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Sources to open for. `remark`: what the person should know about how they were found."""

    sources: tuple[str, ...]
    remark: str = ""


def find_origin(
    server: Server, words: Sequence[str] | None, machines: Sequence[str], environ: Mapping[str, str]
) -> Origin:
    """The sources that were meant. Raises Usage, Invalid, Failure."""
    origins = [_origin(server, word, machines, environ) for word in words or [ME]]
    sources = [source for origin in origins for source in origin.sources]
    remarks = [origin.remark for origin in origins if origin.remark]
    return Origin(tuple(dict.fromkeys(sources)), " ".join(dict.fromkeys(remarks)))


def _origin(server: Server, word: str, machines: Sequence[str], environ: Mapping[str, str]) -> Origin:
    if word.lower() == ME:
        return find_me(server, machines, environ)
    prefix = "*" if word.lower() in ANYWHERE else prefixes.text(prefixes.canonical(word, "--from"))
    if prefix == "*" or prefix.endswith("/0"):
        return Origin((prefix,), "That is every address there is: `--from me` opens for yours alone.")
    return Origin((prefix,))


def find_me(server: Server, machines: Sequence[str], environ: Mapping[str, str]) -> Origin:
    """Where this person is, in both families where both are used. Raises Usage."""
    seen = _seen_by(server)
    if seen is not None:
        other = _in_other_family(server, seen, machines)
        sources = (prefixes.text(seen), *([] if other is None else [prefixes.text(other)]))
        return Origin(sources, _proxy_remark(server))
    ssh = _ssh_client(environ)
    if ssh is not None:
        return Origin((prefixes.text(ssh),), "This is where your SSH session comes from.")
    raise Usage(
        "The server sees you at this very machine, so it cannot tell where your connection will come from. "
        "Name the address: --from 203.0.113.7, or a prefix; for connections from this machine itself, --from 127.0.0.1."
    )


def _seen_by(server: Server) -> Prefix | None:
    """The address that the server sees; None if it sees none, or loopback."""
    address = server.get("/whoami")["address"]
    return None if address is None else _not_loopback(address)


def _not_loopback(address: str) -> Prefix | None:
    with suppress(Invalid):
        found = prefixes.of_address(address)
        return None if prefixes.is_loopback(found) else found
    return None


def _ssh_client(environ: Mapping[str, str]) -> Prefix | None:
    """Both variables begin with the client's address (sshd(8), ENVIRONMENT)."""
    for name in ("SSH_CLIENT", "SSH_CONNECTION"):
        address = environ.get(name, "").partition(" ")[0]
        if address and (found := _not_loopback(address)):
            return found
    return None


def _in_other_family(server: Server, seen: Prefix, machines: Sequence[str]) -> Prefix | None:
    """Where this person is in the other family, if the server and a machine to be opened can be reached by it."""
    family = 4 if prefixes.family(seen) == 6 else 6
    if not _resolves(server.place.host, family) or not _any_has(server, machines, family):
        return None
    with suppress(Failure), Server(server.place, local_address=_ANY_ADDRESS[family]) as other:
        found = _seen_by(other)
        return found if found is not None and prefixes.family(found) == family else None
    return None


def _resolves(host: str, family: int) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None, socket.AF_INET6 if family == 6 else socket.AF_INET))
    except OSError:
        return False


def _any_has(server: Server, machines: Sequence[str], family: int) -> bool:
    with suppress(Failure):
        addresses = [address for name in machines for address in server.get(path("machines", name))["addresses"]]
        return any((":" in address) == (family == 6) for address in addresses)
    return False


def _proxy_remark(server: Server) -> str:
    host = server.place.host
    if is_loopback(host) or not getproxies().get("https") or proxy_bypass(host):
        return ""
    return (
        "The server sees you through the proxy that HTTPS_PROXY names. "
        "If your connection does not go that way, name its address with --from."
    )
