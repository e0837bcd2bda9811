"""A jitgate connector for firewalls that read their rules from files: one file for each machine, `web-1.rules`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jitgate.connectors.kinds import Kind
from jitgate.core.errors import Invalid
from jitgate_files.connector import FilesConnector


def check(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings as they are kept. Raises Invalid."""
    if unknown := sorted(settings.keys() - {"directory"}):
        raise Invalid(f"settings.{unknown[0]}", "there is no such setting", allowed="directory")
    directory = Path(str(settings.get("directory", "")))
    if not directory.is_absolute():
        raise Invalid("settings.directory", f"{str(directory)!r} is not accepted", allowed="an absolute path")
    return {"directory": str(directory)}


KIND = Kind(
    check,
    lambda account, clock: FilesConnector(
        account.name, Path(account.settings["directory"]), (account.subscription, account.resource_group), clock
    ),
)
