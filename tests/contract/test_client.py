"""Microsoft's own client, unmodified, over TLS: all eight operations, in both of its kinds."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.mgmt.security import SecurityCenter
from azure.mgmt.security.aio import SecurityCenter as AsyncSecurityCenter
from tests.contract.arm import SOURCE, Arm, eventually, port, rule
from tests.server import GROUP, Server

from jitgate.web.arm.routes import PAGE

LOCATION, NAME = "westeurope", "default"
WHERE = (GROUP, LOCATION, NAME)


class Token:
    """A credential as the client wants one."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


class AsyncToken(Token):
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # type: ignore[override]
        return super().get_token(*scopes, **options)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "AsyncToken":
        return self

    async def __aexit__(self, *_details: object) -> None:
        pass


def options(server: Server) -> dict[str, Any]:
    return {
        "base_url": server.base_url,
        "credential_scopes": [f"{server.base_url}/.default"],
        "connection_verify": str(server.ca),
        "retry_total": 0,
    }


@pytest.fixture
def client(server: Server, arm: Arm) -> Iterator[Any]:
    """`arm` cleans up."""
    arm.put()
    with SecurityCenter(Token(server.token), server.subscription, **options(server)) as made:
        yield made.jit_network_access_policies


@pytest.fixture
async def async_client(server: Server, arm: Arm) -> AsyncIterator[Any]:
    arm.put()
    async with AsyncSecurityCenter(AsyncToken(server.token), server.subscription, **options(server)) as made:
        yield made.jit_network_access_policies


def policy(arm: Arm) -> Any:
    return {"kind": "Basic", "properties": {"virtualMachines": [arm.machine("web-1", [rule(number=3389)])]}}


def ask(arm: Arm) -> Any:
    end = datetime.now(UTC) + timedelta(hours=1)
    ports = [{"number": 22, "allowedSourceAddressPrefix": SOURCE, "endTimeUtc": end}]
    return {"virtualMachines": [arm.machine("web-1", ports)], "justification": "INC-7"}


def code(error: HttpResponseError) -> str | None:
    assert error.error is not None
    return error.error.code


def test_put_creates_and_replaces(arm: Arm, client: Any) -> None:
    made = client.create_or_update(*WHERE, policy(arm))
    assert (made.name, made.location, made.kind) == (NAME, LOCATION, "Basic")
    assert made.type == "Microsoft.Security/locations/jitNetworkAccessPolicies"
    assert [port.number for port in made.virtual_machines[0].ports] == [3389]


def test_get_reads_what_was_put(arm: Arm, client: Any) -> None:
    found = client.get(*WHERE)
    assert found.id == arm.path()
    assert found.provisioning_state == "Succeeded"
    rule = found.virtual_machines[0].ports[0]
    assert (rule.number, rule.protocol, rule.allowed_source_address_prefix) == (22, "TCP", "*")
    assert rule.max_request_access_duration == "PT3H"


def test_all_four_lists_hold_the_policy(arm: Arm, client: Any) -> None:
    lists = [
        client.list(),
        client.list_by_region(LOCATION),
        client.list_by_resource_group(GROUP),
        client.list_by_resource_group_and_region(GROUP, LOCATION),
    ]
    assert [[found.id for found in listed] for listed in lists] == [[arm.path()]] * 4


def test_initiate_opens_and_the_request_is_listed(arm: Arm, client: Any) -> None:
    made = client.initiate(*WHERE, ask(arm))
    asked = made.virtual_machines[0].ports[0]
    assert (asked.status, asked.status_reason) == ("Initiating", "UserRequested")
    assert (made.requestor, made.justification) == ("owner", "INC-7")
    assert made.start_time_utc <= datetime.now(UTC)
    eventually(lambda: client.get(*WHERE).requests[0].virtual_machines[0].ports[0].status == "Initiated")


def test_initiate_with_bytes_may_carry_a_duration(arm: Arm, client: Any) -> None:
    """Case RA1."""
    made = client.initiate(*WHERE, json.dumps(arm.ask(port(duration="PT1H"))).encode())
    length = made.virtual_machines[0].ports[0].end_time_utc - made.start_time_utc
    assert length == timedelta(hours=1)


def test_initiate_whose_duration_the_client_has_dropped_is_refused(arm: Arm, client: Any) -> None:
    """Case RA15: the client's model does not know `duration`; a port without end must never open."""
    with pytest.raises(HttpResponseError) as raised:
        client.initiate(*WHERE, arm.ask(port(duration="PT1H")))
    assert raised.value.status_code == 400
    assert code(raised.value) == "InvalidInitiateInput"
    assert not arm.ports()


def test_delete_removes_and_deleting_again_is_fine(arm: Arm, client: Any) -> None:
    """Case RA10."""
    client.delete(*WHERE)
    assert arm.call("GET", arm.path()).status_code == 404
    client.delete(*WHERE)


def test_refusals_become_the_clients_own_errors(arm: Arm, client: Any) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get(GROUP, LOCATION, "missing")
    assert code(missing.value) == "PolicyNotFound"
    with pytest.raises(HttpResponseError) as outside:
        client.initiate(*WHERE, json.dumps(arm.ask(port(number=23))).encode())
    assert outside.value.error is not None
    assert outside.value.error.details[0].target == "virtualMachines[0].ports[0].number"


def test_a_token_that_nobody_knows_becomes_the_clients_own_error(server: Server) -> None:
    stranger = SecurityCenter(Token("nonsense"), server.subscription, **options(server))
    with stranger, pytest.raises(ClientAuthenticationError):
        stranger.jit_network_access_policies.get(*WHERE)


async def test_the_asynchronous_client_does_all_eight_operations(arm: Arm, async_client: Any) -> None:
    client = async_client
    assert (await client.get(*WHERE)).id == arm.path()
    listed = [
        client.list(),
        client.list_by_region(LOCATION),
        client.list_by_resource_group(GROUP),
        client.list_by_resource_group_and_region(GROUP, LOCATION),
    ]
    for pages in listed:
        assert [found.id async for found in pages] == [arm.path()]
    made = await client.initiate(*WHERE, ask(arm))
    assert made.virtual_machines[0].ports[0].status == "Initiating"
    assert (await client.create_or_update(*WHERE, policy(arm))).virtual_machines[0].ports[0].number == 3389
    await client.delete(*WHERE)
    with pytest.raises(ResourceNotFoundError):
        await client.get(*WHERE)


def test_the_client_reads_a_list_of_many_pages_to_its_end(server: Server, arm: Arm, client: Any) -> None:
    """Case RA13: the client overwrites the version in `nextLink`."""
    names = [f"p{number:03}" for number in range(2 * PAGE + 1)]
    for name in names:
        arm.call("PUT", arm.path(name), {"properties": {"virtualMachines": []}})
    found = [found.name for found in client.list()]
    assert sorted(found) == sorted([NAME, *names])
    for name in names:
        arm.call("DELETE", arm.path(name))
