"""What the shell offers while somebody types: names of machines, from the server, or nothing."""

import os
from collections.abc import Iterable
from typing import Any

import typer

from jitgate.cli.exits import Failure
from jitgate.cli.place import find_place
from jitgate.cli.server import Server
from jitgate.cli.text import short
from jitgate.cli.words import NAMED_PORTS

MOST = 200


def machines(ctx: typer.Context, incomplete: str) -> list[str]:
    """Machines that begin like this."""
    return _beginning(incomplete, (machine["name"] for machine in _items(ctx, "/machines")))


def machines_and_ports(ctx: typer.Context, incomplete: str) -> list[str]:
    """Machines and named ports that begin like this."""
    return machines(ctx, incomplete) + _beginning(incomplete, NAMED_PORTS)


def grants(ctx: typer.Context, incomplete: str) -> list[str]:
    """One's own grants, and the machines that they are for."""
    mine = _items(ctx, "/grants", mine=True)
    words = {word for grant in mine for word in (short(grant["id"]), grant["machine"])}
    return _beginning(incomplete, sorted(words))


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.casefold().startswith(incomplete.casefold())]


def _items(ctx: typer.Context, path: str, **query: Any) -> list[dict[str, str]]:
    """A list from the server; nothing if it cannot be had, since a shell has no place for a message."""
    try:
        with Server(find_place(ctx.params.get("data_dir"), os.environ)) as server:
            return list(server.pages(path, most=MOST, **query))
    except Failure:
        return []
