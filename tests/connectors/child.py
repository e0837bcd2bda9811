"""A process that reconciles what is due over a fake, and is killed at a failpoint: ``child.py KIND DIRECTORY URL``."""

import asyncio
import sys

from jitgate.clock import ManualClock
from jitgate.connectors.base import Connector
from jitgate.reconcile import Reconciler
from jitgate.store import scopes
from jitgate.store.database import Store


async def main(kind: str, directory: str, url: str) -> None:
    from tests.house import HOUR, START

    clock = ManualClock(START)
    store = Store.open(f"sqlite:///{directory}/jitgate.db", clock)
    reconciler = Reconciler(store, {kind: connect(kind, url, clock)}, "child")
    await store.write(lambda tx: scopes.all_due(tx, [kind]))
    await reconciler.reconcile_all_due()
    clock.advance(2 * HOUR)
    await reconciler.reconcile_all_due()


def connect(kind: str, url: str, clock: ManualClock) -> Connector:
    """Only what one kind takes is imported: that is most of the time that this process takes."""
    return _azure(url, clock) if kind == "azure" else _aws(url, clock)


def _azure(url: str, clock: ManualClock) -> Connector:
    from tests.house import SUBSCRIPTION

    from jitgate.connectors.azure.connector import AzureConnector
    from jitgate.connectors.azure.settings import check, read

    settings = read(check({"endpoint": url, "credential": "none"}))
    return AzureConnector("azure", SUBSCRIPTION, settings, clock, poll_seconds=0.001)


def _aws(url: str, clock: ManualClock) -> Connector:
    from tests.house import SUBSCRIPTION

    from jitgate.connectors.aws.calls import Accounts
    from jitgate.connectors.aws.connector import AwsConnector
    from jitgate.connectors.aws.settings import read
    from jitgate.testing.aws.strict import StrictEc2, Weather

    settings, weather = read({"regions": "eu-west-1", "endpoint": url}), Weather()
    accounts = Accounts(settings, clock.elapsed, lambda client, _region: StrictEc2(client, weather))
    return AwsConnector("aws", settings, (SUBSCRIPTION, "jitgate"), clock, accounts)


if __name__ == "__main__":
    sys.path.insert(0, ".")
    asyncio.run(main(*sys.argv[1:]))
