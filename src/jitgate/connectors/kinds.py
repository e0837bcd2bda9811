"""Kinds of clouds that can be connected, and those that other packages bring.

A package brings a kind by an entry point of the group `jitgate.connectors`, whose name is what `jitgate connector add
--kind` takes, and which leads to a `Kind`. Its code is loaded when a connector of that kind is begun, and only by the
process that changes firewalls: from then on it may do all that this process may.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from jitgate.clock import Clock
from jitgate.connectors.base import CloudConnector, ConnectorError
from jitgate.core.errors import Invalid

GROUP = "jitgate.connectors"
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Account:
    """A cloud account as an administrator has added it.

    `subscription` and `resource_group` are where machines are filed that have no place of their own in Azure
    """

    name: str
    subscription: str
    resource_group: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cloud. `check`: the settings as they are kept, or Invalid; `make`: a connector, or ConnectorError."""

    check: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    make: Callable[[Account, Clock], CloudConnector]


def brought() -> Mapping[str, tuple[EntryPoint, ...]]:
    """The kinds that installed packages bring, by name: the entry points, more than one where packages quarrel.

    Nothing of the packages is loaded.
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=GROUP):
        if NAME.fullmatch(entry.name):
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def check_form(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings whose meaning only the package knows, as they are kept until it reads them. Raises Invalid."""
    for name, value in given.items():
        if not isinstance(value, str | int | bool) or len(str(value)) > _LONGEST:
            allowed = f"text of at most {_LONGEST} characters, a number, true or false"
            raise Invalid(f"settings.{name}", f"{str(value)[:60]!r} is not accepted", allowed=allowed)
    return dict(given)


def make(entries: tuple[EntryPoint, ...], account: Account, clock: Clock) -> CloudConnector:
    """Load the package, have it read the settings, and make the connector. Raises ConnectorError, whatever it does."""
    entry = entries[0]
    if len(entries) > 1:
        packages = " and ".join(sorted(_packages(entries)))
        raise ConnectorError(f"{packages} both bring connectors of kind {entry.name!r}: uninstall all but one")
    try:
        kind = entry.load()
        if not isinstance(kind, Kind):
            raise ConnectorError(f"{entry.value} is no jitgate.connectors.kinds.Kind")
        settings = kind.check(account.settings)
        return kind.make(Account(account.name, account.subscription, account.resource_group, settings), clock)
    except ConnectorError:
        raise
    except Invalid as error:
        raise ConnectorError(error.message) from error
    except Exception as error:
        raise ConnectorError(f"{_package(entry)} could not be begun: {type(error).__name__}: {error}") from error


def _packages(entries: tuple[EntryPoint, ...]) -> Iterator[str]:
    return map(_package, entries)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
