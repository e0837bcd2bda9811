"""Microsoft's own clients for plans and for the activity log, unmodified, over TLS."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.security import SecurityCenter
from tests.contract.arm import Arm, port
from tests.contract.test_client import Token, options
from tests.server import GROUP, Server

from jitgate.web.arm import activity_log

PRICING = "VirtualMachines"
HOUR = timedelta(hours=1)


@pytest.fixture
def pricings(server: Server) -> Iterator[Any]:
    with SecurityCenter(Token(server.token), server.subscription, **options(server)) as made:
        scope = subscription(server)
        yield made.pricings
        made.pricings.update(scope, PRICING, {"properties": {"pricingTier": "Standard", "subPlan": "P2"}})
        made.pricings.delete(server.machine_id("web-1"), PRICING)


@pytest.fixture
def activity_logs(server: Server) -> Iterator[Any]:
    with MonitorManagementClient(Token(server.token), server.subscription, **options(server)) as made:
        yield made.activity_logs


def subscription(server: Server) -> str:
    return f"/subscriptions/{server.subscription}"


def plan(tier: str, sub_plan: str | None = None, **more: str) -> Any:
    return {"properties": {"pricingTier": tier, **({"subPlan": sub_plan} if sub_plan else {}), **more}}


# --- plans ----------------------------------------------------------------------------------------------


def test_a_new_subscription_is_at_standard_p2_without_end(server: Server, pricings: Any) -> None:
    found = pricings.get(subscription(server), PRICING)
    assert (found.pricing_tier, found.sub_plan, found.enforce) == ("Standard", "P2", "False")
    assert (found.free_trial_remaining_time, found.resources_coverage_status) == (timedelta(), "FullyCovered")
    assert found.id == f"{subscription(server)}/providers/Microsoft.Security/pricings/VirtualMachines"
    assert [one.name for one in pricings.list(subscription(server)).value] == [PRICING]
    assert pricings.list(subscription(server), filter="name in (KeyVaults)").value == []


def test_a_plan_that_is_put_reads_back_and_standard_alone_is_p2(server: Server, pricings: Any) -> None:
    assert pricings.update(subscription(server), PRICING, plan("Free")).pricing_tier == "Free"
    found = pricings.get(subscription(server), PRICING)
    assert (found.pricing_tier, found.sub_plan, found.resources_coverage_status) == ("Free", None, "NotCovered")
    made = pricings.update(subscription(server), PRICING, plan("Standard"))
    assert (made.sub_plan, made.enablement_time is not None) == ("P2", True)


@pytest.mark.parametrize("wanted", [("Free", None), ("Standard", "P1")])
def test_under_another_plan_asking_and_writing_is_refused_in_azures_words(
    server: Server, arm: Arm, pricings: Any, wanted: tuple[str, str | None]
) -> None:
    arm.put()
    pricings.update(subscription(server), PRICING, plan(*wanted))
    refused = arm.initiate()
    assert refused.status_code == 400
    assert "'web-1' is not onboarded to Defender For Servers offering." in refused.text
    changed = arm.call("PUT", arm.path(), arm.policy(machine="web-2"))
    assert changed.status_code == 400
    assert "'web-2' is not onboarded to Defender For Servers offering." in changed.text
    assert arm.call("DELETE", arm.path()).status_code == 200


def test_a_machine_may_have_a_plan_of_its_own_unless_the_one_above_is_enforced(server: Server, pricings: Any) -> None:
    machine = server.machine_id("web-1")
    inherited = pricings.get(machine, PRICING)
    assert (inherited.inherited, inherited.inherited_from) == ("True", subscription(server))
    own = pricings.update(machine, PRICING, plan("Standard", "P1"))
    assert (own.inherited, own.inherited_from, own.sub_plan) == ("False", None, "P1")
    with pytest.raises(HttpResponseError):
        pricings.update(machine, PRICING, plan("Standard", "P2"))
    pricings.update(machine, PRICING, plan("Free"))
    assert pricings.get(subscription(server), PRICING).resources_coverage_status == "PartiallyCovered"
    pricings.update(subscription(server), PRICING, plan("Standard", "P2", enforce="True"))
    assert pricings.get(machine, PRICING).pricing_tier == "Standard"
    with pytest.raises(HttpResponseError) as refused:
        pricings.update(machine, PRICING, plan("Free"))
    assert refused.value.status_code == 409
    pricings.delete(machine, PRICING)
    pricings.delete(machine, PRICING)


def test_extensions_read_back_and_other_plans_are_not_there(server: Server, pricings: Any) -> None:
    wanted = plan("Standard", "P2") | {}
    wanted["properties"]["extensions"] = [{"name": "AgentlessVmScanning", "isEnabled": "True"}]
    made = pricings.update(subscription(server), PRICING, wanted)
    assert [(one.name, one.is_enabled) for one in made.extensions] == [("AgentlessVmScanning", "True")]
    with pytest.raises(ResourceNotFoundError):
        pricings.get(subscription(server), "KeyVaults")


@pytest.mark.parametrize("version", ["2018-06-01", "2022-03-01", "2023-01-01", "2024-01-01"])
def test_every_version_that_clients_send_is_spoken(server: Server, version: str) -> None:
    path = f"{subscription(server)}/providers/Microsoft.Security/pricings"
    with server.client() as client:
        assert client.get(path, params={"api-version": version}).status_code == 200
        refused = client.get(path, params={"api-version": "1999-01-01"})
    assert refused.json()["error"]["code"] == "InvalidApiVersionParameter"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"pricingTier": "Gold"},
        {"pricingTier": 1},
        {"pricingTier": "Free", "subPlan": "P2"},
        {"pricingTier": "Standard", "subPlan": "P9"},
        {"pricingTier": "Standard", "enforce": "maybe"},
        {"pricingTier": "Standard", "extensions": [{"name": 1}]},
        {"pricingTier": "Standard", "extensions": {}},
    ],
)
def test_a_plan_that_is_none_is_refused_with_the_field(server: Server, properties: Any) -> None:
    path = f"{subscription(server)}/providers/Microsoft.Security/pricings/{PRICING}"
    with server.client() as client:
        refused = client.put(path, params={"api-version": "2024-01-01"}, json={"properties": properties})
    assert refused.status_code == 400
    assert refused.json()["error"]["target"].startswith("properties")


# --- the activity log -----------------------------------------------------------------------------------


def since(moment: datetime | None = None) -> str:
    return f"eventTimestamp ge '{(moment or datetime.now(UTC) - HOUR).isoformat()}'"


def test_the_client_reads_who_asked_and_what_was_decided(server: Server, arm: Arm, activity_logs: Any) -> None:
    arm.put()
    arm.initiate()
    arm.initiate(arm.ask(port(number=23)))
    found = list(activity_logs.list(filter=f"{since()} and resourceUri eq '{server.machine_id('web-1')}'"))
    asked = next(one for one in found if one.operation_name.localized_value == "Initiate JIT Network Access Policy")
    assert asked.operation_name.value == "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action"
    assert (asked.status.value, asked.sub_status.value) == ("Accepted", "Accepted")
    assert (asked.caller, asked.level, asked.category.value) == ("owner", "Informational", "Administrative")
    assert asked.resource_id.lower() == server.machine_id("web-1").lower()
    assert asked.resource_group_name == GROUP
    assert asked.subscription_id == server.subscription
    assert asked.http_request.client_ip_address == "127.0.0.1"
    assert asked.event_timestamp == asked.submission_timestamp
    assert asked.resource_type.value == "Microsoft.Compute/virtualMachines"
    assert json.loads(asked.properties["grants"])[0]["port"] == 22
    refused = next(
        one for one in activity_logs.list(filter=since()) if one.status.value == "Failed" and one.description
    )
    assert (refused.level, refused.sub_status.value) == ("Warning", "BadRequest")
    assert "23" in refused.description


def test_only_what_is_selected_comes(server: Server, arm: Arm, activity_logs: Any) -> None:
    arm.put()
    first = next(iter(activity_logs.list(filter=f"{since()} and caller eq 'owner'", select="eventTimestamp,caller")))
    assert first.caller == "owner"
    assert (first.operation_name, first.properties, first.id) == (None, None, None)


def test_pages_are_followed_to_the_end(
    server: Server, arm: Arm, activity_logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_log, "PAGE", 2)
    arm.put()
    wanted = f"{since()} and resourceProvider eq 'Microsoft.Security'"
    found = list(activity_logs.list(filter=wanted, select="operationName,eventDataId"))
    assert len(found) == len({one.event_data_id for one in found}) > 2
    assert all(one.operation_name.value.startswith("Microsoft.Security/") for one in found)


@pytest.mark.parametrize(
    "filter",
    [
        "eventTimestamp ge 2020-11-20T23:32:46.255491 and eventTimestamp le 2999-11-21T23:32:46.255491",
        "eventTimestamp ge '2014-07-16T04:36:37.6407898Z' and eventTimestamp le '2999-07-20T04:36:37.6407898Z'",
        "eventTimestamp ge 2020-11-20T23:32:46.255491 and resourceId eq '{machine}'",
        "eventTimestamp ge 2020-11-20T23:32:46.255491 and resourceGroupName eq 'PROD'",
        "eventTimestamp ge 2020-11-20T23:32:46 and eventChannels eq 'Admin, Operation' and status eq 'Accepted'",
        "EVENTTIMESTAMP GE 2020-11-20T23:32:46 AND caller eq 'OWNER'",
    ],
)
def test_both_dialects_find_the_same_event(server: Server, arm: Arm, filter: str) -> None:
    """Case RA12."""
    arm.put()
    arm.initiate()
    answer = read(server, filter.replace("{machine}", server.machine_id("web-1")))
    assert answer.status_code == 200, answer.text
    assert any("initiate" in event["operationName"]["value"] for event in answer.json()["value"])


@pytest.mark.parametrize(
    "filter",
    [
        "",
        "caller eq 'owner'",
        "eventTimestamp le '2030-01-01T00:00:00Z'",
        "eventTimestamp ge 'yesterday'",
        "eventTimestamp ge '9999-99-99T00:00:00Z'",
        "eventTimestamp ge '2020-01-01T00:00:00Z' or caller eq 'x'",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and nothing eq 'x'",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and caller ge 'x'",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and caller eq 'x",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and eventTimestamp ge '2020-01-01T00:00:00Z'",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and resourceId eq '/subscriptions/other/x'",
        "eventTimestamp ge '2020-01-01T00:00:00Z' and status eq 'Fine'",
        "eventTimestamp ge '2020-01-01T00:00:00Z'" + " " * 5000,
    ],
)
def test_any_other_filter_is_refused_and_the_refusal_is_flat(server: Server, filter: str) -> None:
    answer = read(server, filter)
    assert answer.status_code == 400
    assert answer.json().keys() == {"code", "message"}
    assert "$filter" in answer.json()["message"]


def test_who_may_not_read_the_record_reads_none_of_it(server: Server) -> None:
    token = server.token_of("requester-of-activity", "JIT Requester")
    answer = read(server, since(), token)
    assert (answer.status_code, answer.json()["code"]) == (403, "AuthorizationFailed")
    group = f"{subscription(server)}/resourceGroups/{GROUP}"
    token = server.token_of("group-reader-of-activity", "Auditor", group)
    assert read(server, since(), token).status_code == 403
    assert read(server, f"{since()} and resourceGroupName eq '{GROUP}'", token).status_code == 200


def read(server: Server, filter: str, token: str | None = None) -> httpx.Response:
    path = f"{subscription(server)}/providers/microsoft.insights/eventtypes/management/values"
    with server.client(token) as client:
        return client.get(path, params={"api-version": "2015-04-01", "$filter": filter})
