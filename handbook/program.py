"""The program, as it tells about itself: its calls and its commands. Nothing is started."""

from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import create_autospec

import typer
from fastapi import FastAPI

from jitgate import cli
from jitgate.main.command import add_all
from jitgate.service.base import Service
from jitgate.web.agents import AgentLink
from jitgate.web.app import create_app


def application() -> FastAPI:
    """The web application with all its routes."""
    return create_app(create_autospec(Service), create_autospec(AgentLink), trusted_proxies=(), allowed_hosts=())


@cache
def commands() -> Any:
    """All commands, as `jitgate` has them. Not the applications themselves, which others use, too."""
    local = typer.Typer()
    add_all(local)
    found = typer.main.get_command(cli.app)
    found.commands = {**found.commands, **typer.main.get_command(local).commands}  # type: ignore[attr-defined]
    return found


def leaves(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """All commands that can be typed, with the words that lead to them."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{before}{name} ")
        elif not command.hidden:
            yield before + name, command
