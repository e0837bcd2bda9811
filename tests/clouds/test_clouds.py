"""Cloud accounts that administrators add, change, test and remove while jitgate runs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.clouds.sky import KIND, Sky
from tests.house import ELSEWHERE, SUBSCRIPTION, machine

from jitgate.audit import Operation
from jitgate.connectors.aws import settings as aws
from jitgate.core.access import CloseReason, State
from jitgate.core.catalogue import Sought
from jitgate.core.desired import PortKey, Protocol
from jitgate.core.errors import Conflict, Forbidden, Invalid, NotFound
from jitgate.service import catalogue, connectors, machines, policies
from jitgate.service.connectors import Draft
from jitgate.store import scopes

OTHER = "22222222-2222-2222-2222-222222222222"


async def test_a_connector_that_is_added_finds_its_machines_without_a_restart(sky: Sky) -> None:
    await sky.add()
    await sky.look()
    await sky.look()
    names = {
        view.machine.name
        for view in (await catalogue.find_machines(sky.house.service, sky.house.alice, Sought())).items
    }
    assert {"vm-1", "vm-2"} <= names
    view = await sky.view()
    assert view.machines == 2
    assert view.connector.discovered_at is not None


async def test_its_machines_are_protected_and_opened_like_any_other(sky: Sky) -> None:
    await connected(sky)
    assert not is_reached(sky)
    grant = await sky.house.open("vm-1", sources=[ELSEWHERE])
    assert grant.state is State.OPEN
    assert is_reached(sky)


async def test_a_deleted_machine_leaves_nothing_behind(sky: Sky) -> None:
    await connected(sky)
    grant = await sky.house.open("vm-1")
    del sky.cloud.machines[0]
    await sky.look()
    closed = await sky.house.grant(grant.uid)
    assert (closed.state, closed.reason) == (State.CLOSED, CloseReason.MACHINE_REMOVED)
    assert sky.cloud.standing("prod/vm-1") == {}
    with pytest.raises(NotFound):
        await machines.get_machine(sky.house.service, sky.house.alice, "vm-1")


async def test_removing_a_connector_ends_its_grants_and_lets_go_of_its_firewalls(sky: Sky) -> None:
    await connected(sky)
    grant = await sky.house.open("vm-1")
    await connectors.remove_connector(sky.house.service, sky.house.alice, "prod")
    await sky.house.settle()
    await sky.look()
    assert (await sky.house.grant(grant.uid)).state is State.CLOSED
    assert is_reached(sky), "its protection is taken away"
    with pytest.raises(NotFound):
        await sky.view()
    await sky.look()
    assert sky.cloud.closed
    assert "prod" not in sky.house.connectors
    [released] = await sky.house.events(Operation.CONNECTOR_RELEASED)
    assert released.properties == {"connector": "prod"}


async def test_a_removed_connector_stays_listed_while_a_port_of_it_is_not_proven_shut(sky: Sky) -> None:
    await connected(sky)
    await sky.house.open("vm-1")
    sky.cloud.fail_next(1000)
    await connectors.remove_connector(sky.house.service, sky.house.alice, "prod")
    await sky.look()
    assert (await sky.view()).connector.removed_at is not None
    with pytest.raises(Conflict, match="being removed"):
        await sky.add()
    sky.cloud.heal()
    await sky.house.pass_time(timedelta(minutes=2))
    await sky.look()
    with pytest.raises(NotFound):
        await sky.view()


async def test_machines_that_are_listed_while_a_connector_is_removed_do_not_come_back(sky: Sky) -> None:
    await connected(sky)
    await connectors.remove_connector(sky.house.service, sky.house.alice, "prod")
    assert not await connectors.take_over(sky.house.service, "prod", 1, "first", sky.machines)
    assert (await sky.view()).machines == 0


async def test_a_test_names_each_permission_that_is_missing(sky: Sky) -> None:
    await connected(sky)
    sky.cloud.missing = ("Microsoft.Network/networkSecurityGroups/securityRules/write",)
    asked = await connectors.ask_for_test(sky.house.service, sky.house.alice, "prod")
    assert asked.connector.awaits_test
    await sky.look()
    tested = (await sky.view()).connector
    assert not tested.awaits_test
    assert tested.missing == ("Microsoft.Network/networkSecurityGroups/securityRules/write",)


async def test_a_test_that_cannot_be_made_says_why(sky: Sky) -> None:
    await connected(sky)
    sky.cloud.outage = "the sign-in was refused"
    await connectors.ask_for_test(sky.house.service, sky.house.alice, "prod")
    await sky.look()
    assert (await sky.view()).connector.test_error == "the sign-in was refused"


async def test_an_outage_is_told_once_and_so_is_its_end_and_no_machine_is_lost(sky: Sky) -> None:
    await connected(sky)
    sky.cloud.outage = "no answer"
    for _ in range(3):
        await sky.look()
    view = await sky.view()
    assert (view.connector.error, view.machines) == ("no answer", 2)
    sky.cloud.outage = ""
    await sky.look()
    assert (await sky.view()).connector.error == ""
    assert len(await sky.house.events(Operation.CONNECTOR_FAILED)) == 1
    assert len(await sky.house.events(Operation.CONNECTOR_RECOVERED)) == 1


async def test_of_several_processes_one_looks_for_machines_until_it_is_gone(sky: Sky) -> None:
    await connected(sky)
    first = sky.cloud
    second = sky.process("second")
    await sky.look(second)
    await sky.look(second)
    assert (sky.cloud.looks, sky.cloud is first) == (0, False)
    sky.house.clock.advance(timedelta(minutes=1))
    await sky.look(second)
    assert sky.cloud.looks == 1
    before = first.looks
    await sky.look()
    assert first.looks == before
    await second.close()


async def test_other_settings_take_effect_without_a_restart(sky: Sky) -> None:
    await connected(sky)
    before = sky.cloud
    await sky.add(colour="blue")
    await sky.look()
    assert before.closed
    assert sky.cloud is not before
    assert (await sky.view()).connector.settings == {"colour": "blue"}


async def test_a_connector_that_cannot_begin_says_why(sky: Sky) -> None:
    await sky.add(broken=True)
    await sky.look()
    assert (await sky.view()).connector.error == "the package for it is not installed"


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (Draft("fleet", KIND, SUBSCRIPTION, "g", {}), "cannot name a connector"),
        (Draft("A b", KIND, SUBSCRIPTION, "g", {}), "cannot name a connector"),
        (Draft("prod", "heroku", SUBSCRIPTION, "g", {}), "kind.*no kind of connector.*Allowed: memory"),
        (Draft("prod", KIND, "mine", "g", {}), "not a subscription id"),
        (Draft("prod", KIND, SUBSCRIPTION, "a b", {}), "not a resource group"),
        (Draft("prod", KIND, SUBSCRIPTION, "g", {"smell": "sweet"}), "settings.smell: there is no such setting"),
    ],
)
async def test_what_cannot_be_connected_is_refused_with_what_can(sky: Sky, draft: Draft, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        await connectors.put_connector(sky.house.service, sky.house.alice, draft)


async def test_one_account_is_looked_after_once(sky: Sky) -> None:
    await sky.add()
    with pytest.raises(Conflict, match="looks after"):
        await sky.add("again")


async def test_two_connectors_have_no_subscription_in_common(sky: Sky) -> None:
    """The settings of one name a subscription of the other: when it is added, and when it is changed later."""
    other = "22222222-2222-2222-2222-222222222222"
    await sky.add("one", subscriptions=[other.upper()])
    put, service, alice = connectors.put_connector, sky.house.service, sky.house.alice
    with pytest.raises(Conflict, match=f"connector one looks after {other} already"):
        await put(service, alice, Draft("two", KIND, other, "jitgate", {}))
    await sky.add("one", colour="blue")
    await put(service, alice, Draft("two", KIND, other, "jitgate", {}))
    with pytest.raises(Conflict, match=f"connector two looks after {other} already"):
        await sky.add("one", subscriptions=[other])
    await sky.add("one", colour="red")


async def test_a_subscription_is_not_dropped_while_anything_is_held_there(sky: Sky) -> None:
    await sky.add(subscriptions=[OTHER])
    sky.machines[0] = replace(sky.machines[0], id=sky.machines[0].id.replace(SUBSCRIPTION, OTHER.upper()))
    await sky.look()
    await sky.look()
    sky.house.machines += sky.machines
    await sky.house.enable("vm-1", "vm-2")
    with pytest.raises(Conflict, match=r"lead any more: vm-1\. Take these machines out of their policies"):
        await sky.add(colour="blue")
    grant = await sky.house.open(sky.machines[0].id)
    with pytest.raises(Conflict):
        await sky.add(colour="blue")
    await policies.disable_machines(sky.house.service, sky.house.alice, ["vm-1"])
    with pytest.raises(Conflict):
        await sky.add(colour="blue")
    await sky.house.settle()
    assert (await sky.house.grant(grant.uid)).state is State.CLOSED
    await sky.add(colour="blue")
    assert (await sky.view()).machines == 1
    del sky.machines[0]
    await sky.look()
    await sky.look()
    assert await sky.house.store.read(lambda tx: scopes.get(tx, "prod/vm-1")) is None
    assert await sky.house.store.read(lambda tx: scopes.get(tx, "prod/vm-2")) is not None


async def test_two_connectors_of_aws_have_no_region_of_an_account_in_common(sky: Sky) -> None:
    """Their machines are filed under subscriptions of their own; what they write to is one and the same."""
    service = replace(sky.house.service, connector_kinds={"aws": aws.check}, connector_reach={"aws": aws.reach})
    role = "arn:aws:iam::123456789012:role/jitgate"

    async def put(name: str, at: int, **settings: str) -> None:
        draft = Draft(name, "aws", f"{at}{SUBSCRIPTION[1:]}", "aws", settings)
        await connectors.put_connector(service, sky.house.alice, draft)

    await put("one", 2, regions="eu-west-1,eu-west-2", roles=role)
    await put("own", 3, regions="eu-west-1")
    with pytest.raises(Conflict, match="connector one looks after 123456789012/eu-west-2 already"):
        await put("two", 4, regions="eu-west-2", roles=role.replace("role/jitgate", "role/other"))
    with pytest.raises(Conflict, match="connector own looks after the server's own account/eu-west-1"):
        await put("two", 4, regions="eu-west-1")
    await put("two", 4, regions="eu-west-3", roles=role)
    await put("one", 2, regions="eu-west-1", roles=role)


async def test_only_who_administers_everything_says_whom_the_servers_credentials_are_shown_to(sky: Sky) -> None:
    """Settings name addresses that tokens are sent to, and files of the server whose content is."""
    mine = await sky.house.add_asker("olga", "Owner", f"/subscriptions/{SUBSCRIPTION}")
    settings = {"endpoint": "https://attacker.example", "secret_file": "/var/lib/jitgate/owner.token"}
    for wanted in (settings, {}):
        with pytest.raises(Forbidden):
            await connectors.put_connector(
                sky.house.service, mine, Draft("prod", KIND, SUBSCRIPTION, "jitgate", wanted)
            )
    await sky.add()
    with pytest.raises(Forbidden):
        await connectors.put_connector(sky.house.service, mine, Draft("prod", KIND, SUBSCRIPTION, "jitgate", settings))


async def test_nobody_removes_a_connector_that_reaches_where_they_have_no_right(sky: Sky) -> None:
    other = "22222222-2222-2222-2222-222222222222"
    await sky.add("wide", subscriptions=[other])
    mine = await sky.house.add_asker("olga", "Owner", f"/subscriptions/{SUBSCRIPTION}")
    with pytest.raises(Forbidden):
        await connectors.remove_connector(sky.house.service, mine, "wide")
    await connectors.remove_connector(sky.house.service, sky.house.alice, "wide")


async def test_a_connector_is_for_those_with_the_right_at_its_subscription(sky: Sky) -> None:
    await sky.add()
    reader = await sky.house.add_asker("rita", "Reader", f"/subscriptions/{SUBSCRIPTION}")
    service = sky.house.service
    assert [view.connector.name for view in await connectors.list_connectors(service, reader)] == ["prod"]
    with pytest.raises(Forbidden):
        await connectors.remove_connector(service, reader, "prod")
    stranger = await sky.house.add_asker("mallory")
    assert await connectors.list_connectors(service, stranger) == ()
    for name in ("prod", "no-such"):
        with pytest.raises(Forbidden):
            await connectors.get_connector(service, stranger, name)


async def connected(sky: Sky) -> None:
    """A connector at work, whose machines are protected."""
    await sky.add()
    await sky.look()
    await sky.look()
    sky.house.machines += sky.machines
    await sky.house.enable("vm-1", "vm-2")


def is_reached(sky: Sky) -> bool:
    """Whether a new connection to vm-1 gets through its firewall."""
    return sky.cloud.reaches("prod/vm-1", PortKey(machine("vm-1").uuid, 22, Protocol.TCP), ELSEWHERE)
