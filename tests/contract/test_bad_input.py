"""Whatever is wrong with a call, it is refused with the field and what would do, and nothing changes."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.contract.arm import Arm, later, port, rule
from tests.server import Server

PUT_PORT = "properties.virtualMachines[0].ports[0]"
ASK_PORT = "virtualMachines[0].ports[0]"
RECORD = ("activity", "meta")
"""Where a refusal may leave a trace: the record, and the store's time."""

Call = Callable[[Arm], httpx.Response]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its firewall does not follow, so that only requests change the database. One policy is there, and one grant."""
    with Server(tmp_path_factory.mktemp("data"), reconciles=False) as running, running.client() as client:
        arm = Arm(running, client)
        assert arm.call("PUT", arm.path(), arm.policy()).status_code == 200
        assert arm.initiate().status_code == 202
        yield running


def put(**changes: Any) -> Call:
    return lambda arm: arm.call("PUT", arm.path(), arm.policy(rule(**changes)))


def ask(**changes: Any) -> Call:
    return lambda arm: arm.initiate(arm.ask(port(**changes)))


def with_ports(*ports: Any) -> Call:
    return lambda arm: arm.initiate(arm.ask(*ports))


def with_machine(machine: Any) -> Call:
    return lambda arm: arm.initiate({"virtualMachines": [machine]})


def raw(method: str, body: bytes) -> Call:
    def call(arm: Arm) -> httpx.Response:
        path = arm.path() + ("/initiate" if method == "POST" else "")
        return arm.client.request(method, path, params={"api-version": "2020-01-01"}, content=body)

    return call


def unknown_machine(arm: Arm) -> httpx.Response:
    return arm.initiate(arm.ask(machine="no-such-machine"))


def put_unknown_machine(arm: Arm) -> httpx.Response:
    return arm.call("PUT", arm.path(), arm.policy(machine="no-such-machine"))


def machine_without_policy(arm: Arm) -> httpx.Response:
    return arm.initiate(arm.ask(machine="web-2"))


def same_machine_twice(arm: Arm) -> httpx.Response:
    return arm.initiate({"virtualMachines": [arm.machine("web-1", [port()]), arm.machine("WEB-1", [port()])]})


def no_port(arm: Arm) -> httpx.Response:
    return arm.initiate({"virtualMachines": [arm.machine("web-1", [])]})


def unknown_version(arm: Arm) -> httpx.Response:
    return arm.call("PUT", arm.path(), arm.policy(), version="2031-01-01")


def no_version(arm: Arm) -> httpx.Response:
    return arm.call("DELETE", arm.path(), version=None)


TABLE: list[tuple[str, Call, int, str]] = [
    ("an unknown machine", unknown_machine, 400, "virtualMachines[0].id"),
    ("an unknown machine in a policy", put_unknown_machine, 400, "properties.virtualMachines[0].id"),
    ("a machine that the policy does not hold", machine_without_policy, 400, "virtualMachines[0].id"),
    ("a machine twice", same_machine_twice, 400, "virtualMachines[1].id"),
    ("an id that is none", with_machine({"id": "web-1", "ports": [port()]}), 400, "virtualMachines[0].id"),
    ("a port that is not in the policy", ask(number=23), 400, f"{ASK_PORT}.number"),
    ("port 0", ask(number=0), 400, f"{ASK_PORT}.number"),
    ("port 65536", ask(number=65536), 400, f"{ASK_PORT}.number"),
    ("port 0 in a policy", put(number=0), 400, f"{PUT_PORT}.number"),
    ("port 65536 in a policy", put(number=65536), 400, f"{PUT_PORT}.number"),
    ("the same port twice", with_ports(port(), port()), 400, "virtualMachines[0].ports[1].number"),
    ("no port", no_port, 400, "virtualMachines[0].ports"),
    ("too long", ask(duration="PT4H"), 400, f"{ASK_PORT}.duration"),
    ("absurdly long", ask(duration="P99999D"), 400, f"{ASK_PORT}.duration"),
    ("an end too far ahead", ask(duration=None, endTimeUtc=later(days=9999)), 400, f"{ASK_PORT}.endTimeUtc"),
    ("an end in the past", ask(duration=None, endTimeUtc=later(seconds=-1)), 400, f"{ASK_PORT}.endTimeUtc"),
    ("an end before all time", ask(duration=None, endTimeUtc="0001-01-01T00:00:00Z"), 400, f"{ASK_PORT}.endTimeUtc"),
    ("an end that is no time", ask(duration=None, endTimeUtc="soon"), 400, f"{ASK_PORT}.endTimeUtc"),
    ("no end", ask(duration=None), 400, f"{ASK_PORT}.endTimeUtc"),
    ("a source that is none", ask(allowedSourceAddressPrefix="x"), 400, f"{ASK_PORT}.allowedSourceAddressPrefix"),
    (
        "a source of two families",
        ask(allowedSourceAddressPrefix="10.0.0.1/64"),
        400,
        f"{ASK_PORT}.allowedSourceAddressPrefix",
    ),
    (
        "both forms of sources",
        ask(allowedSourceAddressPrefixes=["::1"]),
        400,
        f"{ASK_PORT}.allowedSourceAddressPrefixes",
    ),
    (
        "too many sources",
        ask(allowedSourceAddressPrefix=None, allowedSourceAddressPrefixes=[f"10.0.{n}.1" for n in range(100)]),
        400,
        f"{ASK_PORT}.allowedSourceAddressPrefixes",
    ),
    ("no protocol", put(protocol=""), 400, f"{PUT_PORT}.protocol"),
    ("a protocol that is none", put(protocol="ICMP"), 400, f"{PUT_PORT}.protocol"),
    ("no source in a policy", put(allowedSourceAddressPrefix=None), 400, f"{PUT_PORT}.allowedSourceAddressPrefix"),
    ("a maximum that is too short", put(maxRequestAccessDuration="PT1M"), 400, f"{PUT_PORT}.maxRequestAccessDuration"),
    ("a maximum that is too long", put(maxRequestAccessDuration="P2D"), 400, f"{PUT_PORT}.maxRequestAccessDuration"),
    ("a number for a text", put(maxRequestAccessDuration=180), 400, f"{PUT_PORT}.maxRequestAccessDuration"),
    ("a list for an object", raw("PUT", b'{"properties": []}'), 400, "properties"),
    ("a text for a list", raw("POST", b'{"virtualMachines": "all"}'), 400, "virtualMachines"),
    ("nothing asked for", raw("POST", b'{"virtualMachines": []}'), 400, "virtualMachines"),
    ("no JSON", raw("POST", b"virtualMachines=all"), 400, "body"),
    ("a megabyte", raw("POST", b'{"justification": "' + b"x" * 2**20 + b'"}'), 413, "body"),
    ("a megabyte in a policy", raw("PUT", b" " * 2**20), 413, "body"),
    (
        "a long justification",
        lambda arm: arm.initiate({**arm.ask(), "justification": "x" * 1001}),
        400,
        "justification",
    ),
    ("an unknown version", unknown_version, 400, "api-version"),
    ("no version", no_version, 400, "api-version"),
]


@pytest.mark.parametrize(("call", "status", "target"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_bad_input_is_refused_with_its_field_and_what_would_do_and_changes_nothing(
    server: Server, call: Call, status: int, target: str
) -> None:
    with server.client() as client:
        before = server.rows(*RECORD)
        answer = call(Arm(server, client))
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert error["target"] == target, error
        assert error["code"]
        assert "Allowed: " in error["details"][0]["message"], error
        assert server.rows(*RECORD) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_a_principal_without_rights_is_refused_and_changes_nothing(server: Server, method: str) -> None:
    with server.client(server.token_of(f"mallory-{method}")) as client:
        arm = Arm(server, client)
        before = server.rows(*RECORD)
        path, body = (arm.path() + "/initiate", arm.ask()) if method == "POST" else (arm.path(), arm.policy())
        answer = arm.call(method, path, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")
        assert server.rows(*RECORD) == before
