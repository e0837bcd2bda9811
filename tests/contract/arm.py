"""The contract's operations over plain HTTP: what a test can say that Microsoft's client would not send."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
from tests.server import GROUP, Server

VERSION = "2020-01-01"
SOURCE = "203.0.113.7"
T = TypeVar("T")
Json = dict[str, Any]


class Arm:
    """Calls as one principal."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        self.server = server
        self.client = client
        self._put: set[str] = set()

    # --- paths ----------------------------------------------------------------------------------------

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.server.subscription}"

    def list_path(self, group: str = "", location: str = "") -> str:
        group = f"/resourceGroups/{group}" if group else ""
        location = f"/locations/{location}" if location else ""
        return f"{self.subscription}{group}/providers/Microsoft.Security{location}/jitNetworkAccessPolicies"

    def path(self, name: str = "default", group: str = GROUP, location: str = "westeurope") -> str:
        return f"{self.list_path(group, location)}/{name}"

    # --- bodies ---------------------------------------------------------------------------------------

    def policy(self, *rules: Mapping[str, Any], machine: str = "web-1") -> Json:
        return {"kind": "Basic", "properties": {"virtualMachines": [self.machine(machine, rules or [rule()])]}}

    def ask(self, *ports: Mapping[str, Any], machine: str = "web-1") -> Json:
        return {"virtualMachines": [self.machine(machine, ports or [port()])]}

    def machine(self, name: str, ports: Sequence[Mapping[str, Any]]) -> Json:
        return {"id": self.server.machine_id(name), "ports": list(ports)}

    # --- calls ----------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None, *, version: str | None = VERSION) -> httpx.Response:
        params = {} if version is None else {"api-version": version}
        return self.client.request(method, path, params=params, json=body)

    def get(self, path: str | None = None) -> Json:
        answer = self.call("GET", path or self.path())
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def put(self, body: Json | None = None, path: str | None = None) -> Json:
        """A policy that is in force: its ports are shut."""
        path = path or self.path()
        answer = self.call("PUT", path, body or self.policy())
        assert answer.status_code == 200, answer.text
        self._put.add(path)
        eventually(lambda: self.get(path)["properties"]["provisioningState"] == "Succeeded")
        return answer.json()  # type: ignore[no-any-return]

    def initiate(self, body: Json | None = None, path: str | None = None) -> httpx.Response:
        return self.call("POST", (path or self.path()) + "/initiate", body or self.ask())

    def ports(self, path: str | None = None) -> list[Json]:
        """The ports of all requests under a policy, oldest request first."""
        requests = self.get(path)["properties"]["requests"]
        return [port for request in requests for machine in request["virtualMachines"] for port in machine["ports"]]

    def statuses(self, path: str | None = None) -> list[str]:
        return [f"{port['status']}/{port['statusReason']}" for port in self.ports(path)]

    def clean_up(self) -> None:
        for path in self._put:
            self.call("DELETE", path)


def rule(**changes: Any) -> Json:
    """A port of a policy; None takes a property away."""
    plain = {"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*", "maxRequestAccessDuration": "PT3H"}
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def port(**changes: Any) -> Json:
    """A port of a request; None takes a property away."""
    plain = {"number": 22, "allowedSourceAddressPrefix": SOURCE, "duration": "PT1H"}
    return {name: value for name, value in {**plain, **changes}.items() if value is not None}


def later(**length: float) -> str:
    """A moment from now, as .NET writes it."""
    return f"{(datetime.now(UTC) + timedelta(**length)).replace(tzinfo=None).isoformat(timespec='microseconds')}0Z"


def eventually(holds: Callable[[], T], seconds: float = 60) -> T:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)
    return found


def error(answer: httpx.Response, status: int, code: str) -> Json:
    """The error of a refusal in the contract's shape."""
    assert answer.status_code == status, answer.text
    found: Json = answer.json()["error"]
    assert found["code"] == code, found
    assert found["message"]
    assert all({"code", "message"} <= set(detail) for detail in found["details"])
    return found
