"""The kinds of clouds that can be connected. A new one of ours is a line here; its package may be an extra."""

from collections.abc import Mapping
from functools import partial
from importlib.metadata import EntryPoint

from jitgate.clock import Clock
from jitgate.connectors import kinds as others
from jitgate.connectors.aws import settings as aws
from jitgate.connectors.azure import settings as azure
from jitgate.connectors.base import CloudConnector, ConnectorError
from jitgate.connectors.kinds import Account
from jitgate.main.clouds import Kind
from jitgate.store.connectors import Connector


def kinds(clock: Clock) -> Mapping[str, Kind]:
    """By the name that `jitgate connector add --kind` takes: those that other packages bring, and ours, which none may
    take the place of."""
    brought = {
        name: Kind(others.check_form, partial(_brought, entries, clock)) for name, entries in others.brought().items()
    }
    return {
        **brought,
        "aws": Kind(aws.check, lambda row: _aws(row, clock), aws.reach, aws.places),
        "azure": Kind(azure.check, lambda row: _azure(row, clock), places=azure.places),
    }


def _aws(row: Connector, clock: Clock) -> CloudConnector:
    try:
        from jitgate.connectors.aws.connector import AwsConnector
    except ImportError as error:
        raise _missing("aws", error) from error
    return AwsConnector(row.name, aws.read(row.settings), (row.subscription, row.resource_group), clock)


def _azure(row: Connector, clock: Clock) -> CloudConnector:
    try:
        # Not at the top: its packages are an extra.
        from jitgate.connectors.azure.connector import AzureConnector
    except ImportError as error:
        raise _missing("azure", error) from error
    return AzureConnector(row.name, row.subscription, azure.read(row.settings), clock)


def _brought(entries: tuple[EntryPoint, ...], clock: Clock, row: Connector) -> CloudConnector:
    return others.make(entries, Account(row.name, row.subscription, row.resource_group, row.settings), clock)


def _missing(extra: str, error: ImportError) -> ConnectorError:
    return ConnectorError(f"{error.name} is not installed, which this takes: pip install 'jitgate[{extra}]'")
