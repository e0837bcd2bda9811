"""Several accounts and regions in one connector, as administrators connect, test and remove it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws
from tests.connectors.aws.scene import CREDENTIALS, LOADER
from tests.house import HOUR, SUBSCRIPTION, House

from jitgate.connectors.base import ConnectorError, Plan
from jitgate.core.access import State
from jitgate.core.desired import Desired
from jitgate.core.errors import Conflict, NotFound
from jitgate.main.cloud_kinds import kinds
from jitgate.main.clouds import Clouds
from jitgate.service import connectors, policies
from jitgate.service.connectors import Draft
from jitgate.store import machines, scopes

ACCOUNTS = ("111111111111", "222222222222")
REGIONS = ("eu-west-1", "us-east-1")
EXTERNAL_ID = "a-text-that-nobody-guesses"
SETTINGS = {
    "regions": ", ".join(REGIONS),
    "roles": ", ".join(f"arn:aws:iam::{account}:role/jitgate" for account in ACCOUNTS),
    "external_id": EXTERNAL_ID,
}


@dataclass
class Shop:
    """A house with a process that looks after its clouds, and what it said when it assumed roles."""

    house: House
    clouds: Clouds
    assumed: list[dict[str, Any]] = field(default_factory=list)

    async def look(self) -> None:
        for begun in self.clouds._begun.values():
            begun.due = 0.0
        await self.clouds.look()
        tasks = [task for begun in self.clouds._begun.values() for task in (begun.looking, begun.testing) if task]
        await asyncio.gather(*tasks)
        await self.house.settle()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    with ExitStack() as around:
        around.enter_context(patch.dict("os.environ", CREDENTIALS))
        around.enter_context(patch("botocore.session.create_loader", lambda _path: LOADER))
        around.enter_context(mock_aws())
        for account in ACCOUNTS:
            for region in REGIONS:
                run_instance(account, region)
        async with House(machines=()) as house:
            known = kinds(house.clock)
            house.service = replace(
                house.service,
                connector_kinds={name: kind.check for name, kind in known.items()},
                connector_reach={name: kind.reach for name, kind in known.items()},
                connector_places={name: kind.places for name, kind in known.items() if kind.places is not None},
            )
            made = Shop(house, Clouds(house.service, known, house.connectors, "first"))
            around.enter_context(overhearing(made.assumed))
            yield made
            await made.clouds.close()


def run_instance(account: str, region: str) -> None:
    """Somebody of an account has a machine there."""
    sts = boto3.client("sts", region_name=region)
    given = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/admin", RoleSessionName="admin")["Credentials"]
    client = boto3.client(
        "ec2",
        region_name=region,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": f"web-{account[0]}-{region}"}]}]
    client.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)


@contextmanager
def overhearing(assumed: list[dict[str, Any]]) -> Iterator[None]:
    """Keep what is said where roles are assumed."""
    call = BaseClient._make_api_call

    def listening(self: Any, operation: str, given: dict[str, Any]) -> Any:
        if operation == "AssumeRole":
            assumed.append(given)
        return call(self, operation, given)

    with patch.object(BaseClient, "_make_api_call", listening):
        yield


async def test_one_connector_works_in_each_region_of_each_account_by_a_role_and_an_external_id(shop: Shop) -> None:
    service, alice = shop.house.service, shop.house.alice
    await connectors.put_connector(service, alice, Draft("shop", "aws", SUBSCRIPTION, "jitgate", SETTINGS))
    await shop.look()
    await shop.look()
    assert {(each["RoleArn"], each["ExternalId"]) for each in shop.assumed} == {
        (f"arn:aws:iam::{account}:role/jitgate", EXTERNAL_ID) for account in ACCOUNTS
    }
    view = await connectors.get_connector(service, alice, "shop")
    assert (view.machines, view.connector.error) == (4, "")

    await connectors.ask_for_test(service, alice, "shop")
    await shop.look()
    tested = (await connectors.get_connector(service, alice, "shop")).connector
    assert (tested.missing, tested.test_error, tested.awaits_test) == ((), "", False)

    name = "web-2-us-east-1"
    await shop.house.enable(name)
    grant = await shop.house.open(await machine_called(shop, name))
    assert grant.state is State.OPEN

    await connectors.remove_connector(service, alice, "shop")
    await shop.house.settle()
    await shop.look()
    await shop.look()
    assert (await shop.house.grant(grant.uid)).state is State.CLOSED
    with pytest.raises(NotFound):
        await connectors.get_connector(service, alice, "shop")


async def test_a_region_is_not_dropped_while_anything_is_held_there_and_else_is_looked_at_no_more(shop: Shop) -> None:
    service, alice, house = shop.house.service, shop.house.alice, shop.house
    await connectors.put_connector(service, alice, Draft("shop", "aws", SUBSCRIPTION, "jitgate", SETTINGS))
    await shop.look()
    await shop.look()
    name = "web-2-us-east-1"
    await house.enable(name)
    fewer = Draft("shop", "aws", SUBSCRIPTION, "jitgate", {**SETTINGS, "regions": REGIONS[0]})
    with pytest.raises(Conflict, match=rf"lead any more: {name}\. Take these machines"):
        await connectors.put_connector(service, alice, fewer)
    await policies.disable_machines(service, alice, [name])
    await house.settle()
    await connectors.put_connector(service, alice, fewer)
    for _ in range(2):
        await shop.look()
    await house.pass_time(HOUR)
    assert (await connectors.get_connector(service, alice, "shop")).machines == 2
    left = await house.store.read(lambda tx: scopes.of_connector(tx, "shop"))
    assert {scope.split("/")[2] for scope in left} == {REGIONS[0]}


async def test_what_is_in_a_region_that_was_dropped_never_counts_as_shut(shop: Shop) -> None:
    service, alice = shop.house.service, shop.house.alice
    await connectors.put_connector(service, alice, Draft("shop", "aws", SUBSCRIPTION, "jitgate", SETTINGS))
    await shop.look()
    scope = f"aws/{ACCOUNTS[0]}/eu-west-3/i-0123456789abcdef0"
    wanted = Desired(scope, 1, shop.house.clock.wall(), frozenset(), {}, {}, complete=True)
    with pytest.raises(ConnectorError, match=r"no part of this connector any more.*in the connector's settings"):
        await shop.house.connectors["shop"].apply(Plan(wanted, ()))


async def machine_called(shop: Shop, name: str) -> str:
    """The last part of a machine's id."""
    [found] = await shop.house.store.read(lambda tx: machines.find(tx, name))
    return found.id.rpartition("/")[2]
