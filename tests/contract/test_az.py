"""Microsoft's own command line, unmodified, signs in to jitgate and works: in a network namespace with nothing but
loopback, so that nothing of it can come from anywhere else.

The lines are those of docs/how-to/azure-clients.md.
"""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.netns import Namespace
from tests.server import GROUP, Server

from jitgate.core.roles import OWNER
from jitgate.service.lending import tenant
from jitgate.store import principals
from jitgate.store.database import Tx

ROOT = Path(__file__).parents[2]
AZ = ROOT / ".venv-az" / "bin" / "python"
HOW_TO = ROOT / "docs" / "how-to" / "azure-clients.md"
NOT_FOUND = 3

pytestmark = pytest.mark.needs_root


@dataclass(frozen=True)
class Az:
    """The real az, where only the server can be reached."""

    namespace: Namespace
    environment: Mapping[str, str]
    server: Server
    secret: str

    def __call__(self, *words: str, exit: int = 0) -> Any:
        """What a command answers."""
        command = ["ip", "netns", "exec", self.namespace.name, str(AZ), "-m", "azure.cli", *words, "--output", "json"]
        ran = subprocess.run(
            command, capture_output=True, text=True, env=dict(self.environment), check=False, timeout=60
        )
        assert ran.returncode == exit, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    @property
    def policy(self) -> str:
        group = f"/subscriptions/{self.server.subscription}/resourceGroups/{GROUP}"
        return f"{group}/providers/Microsoft.Security/locations/westeurope/jitNetworkAccessPolicies/default"

    def machine(self, name: str) -> str:
        return self.server.machine_id(name)


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Az]:
    """Registered and signed in, by the lines that the how-to shows."""
    assert AZ.exists(), "tools/setup dev makes .venv-az"
    home = tmp_path_factory.mktemp("home")
    with Namespace("az") as namespace:
        # A socket stays in the namespace that it was made in; the server's threads need not be there.
        listen = partial(namespace.inside, lambda: socket.create_server(("127.0.0.1", 0)))
        with Server(tmp_path_factory.mktemp("data"), listen=listen) as server:
            made = Az(namespace, environment(home, server), server, secret_of(namespace, server, "deploy"))
            sign_in(made)
            yield made


def environment(home: Path, server: Server) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AZURE_CONFIG_DIR": str(home / "azure"),
        "REQUESTS_CA_BUNDLE": str(server.ca),
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
    }


def secret_of(namespace: Namespace, server: Server, name: str) -> str:
    """The client secret of a new service principal that may do everything."""

    def add(tx: Tx) -> None:
        account = principals.add(tx, uuid4().hex, name, "service")
        principals.assign(tx, uuid4().hex, account.uid, OWNER.name, "/")

    def ask() -> str:
        with server.client() as client:
            answer = client.post(f"/api/v1/principals/{name}/secrets", json={"name": "az"})
            return str(answer.json()["secret"])

    server.call(server.service.store.write(add))
    return namespace.inside(ask)


def sign_in(az: Az) -> None:
    az("cloud", "register", "-n", "jitgate", "--endpoint-resource-manager", az.server.base_url)
    az("cloud", "set", "-n", "jitgate")
    az("config", "set", "core.instance_discovery=false")
    own = tenant(az.server.service)
    signed_in = az("login", "--service-principal", "-u", "deploy", "-p", az.secret, "--tenant", own)
    assert [each["id"] for each in signed_in] == [az.server.subscription]


# --- what the issue of all this is ----------------------------------------------------------------------


def rest(az: Az, method: str, path: str, body: Any = None, version: str = "2020-01-01") -> Any:
    """``az rest``, with a body as people give it."""
    more = [] if body is None else ["--body", json.dumps(body)]
    return az("rest", "--method", method, "--url", f"{path}?api-version={version}", *more)


def rule(number: int) -> dict[str, Any]:
    return {
        "number": number,
        "protocol": "TCP",
        "allowedSourceAddressPrefix": "*",
        "maxRequestAccessDuration": "PT3H",
    }


def test_a_policy_is_put_listed_shown_and_asked_under(az: Az) -> None:
    body = {
        "kind": "Basic",
        "properties": {"virtualMachines": [{"id": az.machine("web-1"), "ports": [rule(22), rule(3389)]}]},
    }
    assert rest(az, "put", az.policy, body)["name"] == "default"
    listed = az("security", "jit-policy", "list")
    assert [each["id"] for each in listed] == [az.policy]
    assert az("security", "jit-policy", "list", "-g", GROUP, "-l", "westeurope") == listed
    shown = az("security", "jit-policy", "show", "-g", GROUP, "-l", "westeurope", "-n", "default")
    assert shown["virtualMachines"][0]["ports"][1]["number"] == 3389
    assert shown["resourceGroup"] == GROUP

    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    port = {"number": 22, "allowedSourceAddressPrefix": "203.0.113.7", "endTimeUtc": end}
    asked = {"virtualMachines": [{"id": az.machine("web-1"), "ports": [port]}], "justification": "INC-7"}
    request = rest(az, "post", f"{az.policy}/initiate", asked)
    assert request["virtualMachines"][0]["ports"][0]["status"] == "Initiating"
    requests = az("security", "jit-policy", "show", "-g", GROUP, "-l", "westeurope", "-n", "default")["requests"]
    assert [each["requestor"] for each in requests] == ["deploy"]


def test_what_is_not_there_is_told_as_azure_tells_it(az: Az) -> None:
    az("security", "jit-policy", "show", "-g", GROUP, "-l", "westeurope", "-n", "missing", exit=NOT_FOUND)
    az("vm", "show", "-g", GROUP, "-n", "missing", exit=NOT_FOUND)
    az("group", "show", "-n", "missing", exit=NOT_FOUND)


def test_machines_are_listed_and_read_under_the_ids_that_policies_name(az: Az) -> None:
    ids = [az.machine(name) for name in ("web-1", "web-2", "win-1")]
    assert [each["id"] for each in az("vm", "list")] == ids
    assert [each["id"] for each in az("vm", "list", "-g", GROUP.upper())] == ids
    shown = az("vm", "show", "-g", GROUP, "-n", "win-1")
    assert (shown["id"], shown["storageProfile"]["osDisk"]["osType"]) == (ids[2], "Windows")


def test_what_stands_around_machines_is_there(az: Az) -> None:
    assert [each["name"] for each in az("group", "list")] == [GROUP]
    assert az("group", "show", "-n", GROUP)["location"] == "westeurope"
    assert [each["name"] for each in az("account", "list-locations")] == ["westeurope"]
    assert [each["name"] for each in az("security", "location", "list")] == ["westeurope"]
    assert [each["state"] for each in az("account", "list", "--refresh")] == ["Enabled"]


def test_plans_are_read_and_set(az: Az) -> None:
    listed = {each["name"]: each for each in az("security", "pricing", "list")["value"]}
    assert listed["VirtualMachines"]["pricingTier"] == "Standard"
    assert az("security", "pricing", "show", "-n", "VirtualMachines")["subPlan"] == "P2"
    az("security", "pricing", "create", "-n", "VirtualMachines", "--tier", "standard")


def test_the_record_is_read_as_azures_activity_log(az: Az) -> None:
    found = az("monitor", "activity-log", "list", "--offset", "1h")
    assert {"caller", "operationName", "eventTimestamp", "status"} <= set(found[0])
    in_group = az("monitor", "activity-log", "list", "--offset", "1h", "-g", GROUP)
    assert "deploy" in {each["caller"] for each in in_group}


def test_a_wrong_secret_does_not_sign_in(az: Az) -> None:
    wrong = ["-u", "deploy", "-p", az.secret[:-2] + "xx", "--tenant", tenant(az.server.service)]
    other = Az(az.namespace, {**az.environment, "AZURE_CONFIG_DIR": az.environment["HOME"] + "/other"}, az.server, "")
    other("cloud", "register", "-n", "jitgate", "--endpoint-resource-manager", az.server.base_url)
    other("cloud", "set", "-n", "jitgate")
    other("config", "set", "core.instance_discovery=false")
    other("login", "--service-principal", *wrong, exit=1)


def test_the_how_to_shows_these_very_lines() -> None:
    page = HOW_TO.read_text("utf-8")
    for words in (
        "az cloud register",
        "az cloud set",
        "core.instance_discovery=false",
        "az login --service-principal",
        "az security jit-policy list",
        "az security jit-policy show",
        "az rest --method put",
        "az rest --method post",
        "az vm list",
    ):
        assert re.search(re.escape(words), page), words


def test_roles_are_listed_given_and_taken_away(az: Az) -> None:
    [reader] = az("role", "definition", "list", "--name", "Reader")
    assert (reader["roleName"], reader["roleType"]) == ("Reader", "BuiltInRole")
    scope = f"/subscriptions/{az.server.subscription}/resourceGroups/{GROUP}"
    account = az.server.call(az.server.service.store.write(lambda tx: principals.add(tx, uuid4().hex, "given by az")))
    whom = ["--assignee-object-id", str(UUID(account.uid)), "--assignee-principal-type", "User"]
    made = az("role", "assignment", "create", *whom, "--role", "Reader", "--scope", scope)
    assert (made["scope"], made["principalId"]) == (scope, str(UUID(account.uid)))
    assert az("role", "assignment", "create", *whom, "--role", "Reader", "--scope", scope)["id"] == made["id"]
    listed = az("role", "assignment", "list", "--scope", scope)
    assert [(each["id"], each["roleDefinitionName"]) for each in listed] == [(made["id"], "Reader")]
    az("role", "assignment", "delete", "--ids", made["id"])
    assert az("role", "assignment", "list", "--scope", scope) == []


def test_a_custom_role_is_defined_and_removed(az: Az) -> None:
    scope = f"/subscriptions/{az.server.subscription}"
    wanted = {"Name": "Made by az", "Description": "Reads.", "Actions": ["*/read"], "AssignableScopes": [scope]}
    made = az("role", "definition", "create", "--role-definition", json.dumps(wanted))
    assert (made["roleName"], made["roleType"]) == ("Made by az", "CustomRole")
    assert [each["id"] for each in az("role", "definition", "list", "--custom-role-only")] == [made["id"]]
    az("role", "definition", "delete", "--name", "Made by az")
    assert az("role", "definition", "list", "--custom-role-only") == []
