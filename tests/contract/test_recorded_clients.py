"""PowerShell's Az.Security and Terraform's azapi, by requests of exactly the shapes that they send.

The real modules were not run: they install from no registry that is reached here. The bodies are of our own; the shapes
are those that Azure's public test recordings show: indented JSON with CRLF, prefixes as texts, ends with seven digits,
`Accept` and `x-ms-client-request-id` as sent.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.server import GROUP, Server

from jitgate.core.roles import OWNER
from jitgate.service.lending import client_id, tenant
from jitgate.store import principals
from jitgate.store.database import Tx

VERSION = {"api-version": "2020-01-01"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def powershell(server: Server) -> Iterator[httpx.Client]:
    """A client with the headers of the recordings."""
    headers = {
        "Accept": "application/json",
        "x-ms-client-request-id": "d0d33f4c-2f8d-4f4b-a1f1-0a8a9a3f9f10",
        "Accept-Language": "en-US",
        "User-Agent": "FxVersion/6.0 OSName/Linux Microsoft.Azure.Management.Security.SecurityCenterClient/0.0.0.0",
    }
    with server.client() as client:
        client.headers.update(headers)
        client.params = client.params.merge(VERSION)
        yield client


def policy_path(server: Server, name: str, group: str = GROUP) -> str:
    at = f"/subscriptions/{server.subscription}/resourceGroups/{group}/providers/Microsoft.Security"
    return f"{at}/locations/westeurope/jitNetworkAccessPolicies/{name}"


def as_powershell(body: Any) -> dict[str, Any]:
    """A body as that client writes it."""
    text = json.dumps(body, indent=2).replace("\n", "\r\n")
    return {"content": text.encode(), "headers": {"Content-Type": "application/json; charset=utf-8"}}


def policy(server: Server, machine: str, **port: Any) -> dict[str, Any]:
    wanted = {"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "127.0.0.1", **port}
    rule = {**wanted, "maxRequestAccessDuration": "PT3H"}
    return {
        "kind": "Basic",
        "properties": {"virtualMachines": [{"id": server.machine_id(machine), "ports": [rule]}]},
    }


def test_set_start_get_and_remove_as_recorded(server: Server, powershell: httpx.Client) -> None:
    path = policy_path(server, "default")
    body = policy(server, "web-1")
    put = powershell.put(path, **as_powershell(body))
    assert put.status_code == 200
    answered = put.json()
    assert answered["kind"] == "Basic"
    assert answered["properties"]["virtualMachines"] == body["properties"]["virtualMachines"]
    assert answered["properties"]["requests"] == []
    assert answered["properties"]["provisioningState"] in {"Updating", "Succeeded"}
    assert not {"Location", "Azure-AsyncOperation", "Retry-After"} & set(put.headers)

    end = server.clock.wall() + timedelta(hours=2)
    seven_digits = end.strftime("%Y-%m-%dT%H:%M:%S.") + f"{end.microsecond:06}1Z"
    port = {"number": 22, "allowedSourceAddressPrefix": "127.0.0.1", "endTimeUtc": seven_digits}
    asked = {"virtualMachines": [{"id": server.machine_id("web-1"), "ports": [port]}]}
    started = powershell.post(f"{path}/initiate", **as_powershell(asked))
    assert started.status_code == 202
    assert "Location" not in started.headers
    shown = started.json()["virtualMachines"][0]["ports"][0]
    assert (shown["number"], shown["status"], shown["statusReason"]) == (22, "Initiating", "UserRequested")
    assert len(started.json()["startTimeUtc"].partition(".")[2]) == len("1234567Z")

    assert powershell.put(path, **as_powershell(body)).json()["properties"]["virtualMachines"]
    for listed in (
        f"/subscriptions/{server.subscription}/providers/Microsoft.Security",
        path.partition("/locations")[0],
    ):
        found = powershell.get(f"{listed}/jitNetworkAccessPolicies").json()["value"]
        assert len(found[0]["properties"]["requests"]) == 1, "a PUT without requests drops none"
    removed = powershell.delete(path)
    assert (removed.status_code, removed.content) == (200, b"")
    assert powershell.delete(path).status_code == 204


@pytest.mark.parametrize("prefix", ["*", "127.0.0.1", "10.0.0.0/8"])
def test_a_prefix_that_powershell_made_a_text_of_is_taken(
    server: Server, powershell: httpx.Client, prefix: str
) -> None:
    path = policy_path(server, f"policy-{uuid4().hex[:6]}")
    put = powershell.put(path, **as_powershell(policy(server, "web-2", allowedSourceAddressPrefix=prefix)))
    assert put.status_code == 200, put.text


def test_a_local_time_without_zone_is_refused_by_name(server: Server, powershell: httpx.Client) -> None:
    path = policy_path(server, "zone")
    assert powershell.put(path, **as_powershell(policy(server, "win-1"))).status_code == 200
    port = {"number": 22, "allowedSourceAddressPrefix": "127.0.0.1", "endTimeUtc": "2000-01-01T00:00:00Z"}
    asked = {"virtualMachines": [{"id": server.machine_id("win-1"), "ports": [port]}]}
    refused = powershell.post(f"{path}/initiate", **as_powershell(asked))
    assert refused.status_code == 400
    assert refused.json()["error"]["target"].endswith("endTimeUtc")


# --- Terraform's azapi ----------------------------------------------------------------------------------


def test_azapi_signs_in_creates_waits_and_destroys(server: Server) -> None:
    uid = uuid4().hex

    def add(tx: Tx) -> None:
        principals.add(tx, uid, "terraform", "service")
        principals.assign(tx, uuid4().hex, uid, OWNER.name, "/")

    server.call(server.service.store.write(add))
    with server.client() as owner:
        secret = owner.post("/api/v1/principals/terraform/secrets", json={"name": "x"}).json()["secret"]
    own = tenant(server.service)
    with server.client("") as client:
        discovered = client.get(f"/{own}/v2.0/.well-known/openid-configuration").json()
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id(uid),
            "client_secret": secret,
            "scope": f"{server.base_url}/.default openid offline_access profile",
            "client_info": "1",
        }
        lent = client.post(discovered["token_endpoint"], data=form).json()
        client.headers["Authorization"] = f"Bearer {lent['access_token']}"
        path = policy_path(server, "terraform")
        assert client.get(path, params=VERSION).status_code == 404
        body = {**policy(server, "win-1"), "name": "terraform", "location": "westeurope", "type": "ignored"}
        assert client.put(path, params=VERSION, json=body).status_code == 200
        states = {client.get(path, params=VERSION).json()["properties"]["provisioningState"] for _ in range(200)}
        assert "Succeeded" in states
        assert client.delete(path, params=VERSION).status_code == 200
        assert client.get(path, params=VERSION).status_code == 404
