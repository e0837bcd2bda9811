"""Asking, and being told why not."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server import Server
from tests.web.api.conftest import ME, ask

from jitgate.core.desired import PortKey, Protocol
from jitgate.core.machine import SESSIONS_GO_ON
from jitgate.store import machines
from jitgate.store.database import Tx


def test_with_wait_the_answer_comes_when_the_port_is_really_open(server: Server, api: httpx.Client) -> None:
    answer = api.post("requests", json=ask(duration="PT1H"), params={"wait": 60})
    assert answer.status_code == 201
    assert answer.json()["grants"][0]["state"] == "open"
    machine = next(machine for machine in server.connector.machines if machine.name == "web-1")
    assert server.connector.reaches(machine.scope, PortKey(machine.uuid, 22, Protocol.TCP), ME)


def test_without_wait_the_answer_comes_at_once_and_names_where_to_look(api: httpx.Client) -> None:
    answer = api.post("requests", json=ask())
    assert answer.json()["grants"][0]["state"] == "opening"
    looked = api.get(
        f"https://{api.base_url.host}:{api.base_url.port}{answer.headers['location']}", params={"wait": 60}
    )
    assert looked.json()["grants"][0]["state"] == "open"


def test_waiting_ends_when_the_time_is_up_and_tells_how_it_stands(data_dir: Path) -> None:
    with Server(data_dir) as server, server.client() as client:
        client.post("/api/v1/machines/enable", json={"machines": ["web-1"]}, params={"wait": 60})
        server.connector.delay_next(timedelta(minutes=5), calls=20)
        began = time.monotonic()
        answer = client.post("/api/v1/requests", json=ask(), params={"wait": 0.5})
        assert 0.5 <= time.monotonic() - began < 60
        assert answer.json()["grants"][0]["state"] == "opening"


def test_a_dry_run_answers_the_decision_and_changes_nothing(server: Server, api: httpx.Client) -> None:
    before = server.rows("scope_state", "activity")
    answer = api.post("requests", json={**ask(duration="PT1H"), "dryRun": True})
    assert answer.status_code == 200
    assert answer.json()["decision"] == "allowed"
    assert answer.json()["terms"][0]["duration"] == "PT1H"
    assert server.rows("scope_state", "activity") == before


def test_explain_tells_every_reason_with_its_field_and_what_is_allowed(api: httpx.Client) -> None:
    body = ask(duration="PT9H")
    body["machines"][0]["ports"].append({"number": 8080, "sources": [ME]})
    answer = api.post("requests/explain", json=body).json()
    assert answer["decision"] == "denied"
    found = [(reason["code"], reason["field"]) for reason in answer["reasons"]]
    assert found == [
        ("TooLong", "machines[0].ports[0].duration"),
        ("PortNotInPolicy", "machines[0].ports[1].number"),
    ]
    assert answer["reasons"][0]["allowed"].startswith("at most 3 h")


def test_a_refusal_speaks_the_words_of_this_api(data_dir: Path) -> None:
    """Case PV2."""
    with Server(data_dir) as server, server.client() as client:
        client.post("/api/v1/machines/enable", json={"machines": ["web-1"]})
        client.put("/api/v1/guardrails/inside", json={"limits": {"sources": ["10.0.0.0/8"]}})
        error = client.post("/api/v1/requests", json=ask()).json()["error"]
    assert error["code"] == "RequestRefused"
    assert error["target"] == "machines[0].ports[0].sources"
    assert "Allowed: 10.0.0.0/8" in error["message"]
    assert "virtualMachines" not in error["message"]


def test_a_source_that_is_left_out_is_the_caller(api: httpx.Client) -> None:
    answer = api.post("requests", json={"machines": [{"id": "web-1", "ports": [{"number": 22}]}]})
    assert answer.json()["grants"][0]["sources"] == ["127.0.0.1"]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "machines"),
    ({"machines": []}, "machines"),
    ({"machines": [{"id": "web-1", "ports": []}]}, "machines[0].ports"),
    (ask(number=0), "machines[0].ports[0].number"),
    (ask(number=65536), "machines[0].ports[0].number"),
    (ask(number=10**30), "machines[0].ports[0].number"),
    (ask(number=-1), "machines[0].ports[0].number"),
    (ask(number="ssh"), "machines[0].ports[0].number"),
    (ask(number=22.5), "machines[0].ports[0].number"),
    (ask(number=None), "machines[0].ports[0].number"),
    (ask(protocol="ICMP"), "machines[0].ports[0].protocol"),
    (ask(sources=[]), "machines[0].ports[0].sources"),
    (ask(sources=["10.0.0.0/33"]), "machines[0].ports[0].sources"),
    (ask(sources=["fe80::1%eth0"]), "machines[0].ports[0].sources"),
    (ask(sources="10.0.0.1"), "machines[0].ports[0].sources"),
    (ask(sources=["10.0.0.1/24 "]), "machines[0].ports[0].sources"),
    (ask(sources=["10.0.0.1"] * 2000), ""),
    (ask(duration="2h"), "machines[0].ports[0].duration"),
    (ask(duration="PT0S"), ""),
    (ask(duration="P1Y"), "machines[0].ports[0].duration"),
    (ask(duration="P99999D"), ""),
    (ask(duration="PT1H", endTimeUtc="2030-01-01T00:00:00Z"), "machines[0].ports[0].duration"),
    (ask(endTimeUtc="2030-01-01T00:00:00"), "machines[0].ports[0].endTimeUtc"),
    (ask(endTimeUtc="9999-12-31T23:59:59-10:00"), "machines[0].ports[0].endTimeUtc"),
    (ask(endTimeUtc="0001-01-01T00:00:00+10:00"), "machines[0].ports[0].endTimeUtc"),
    (ask(endTimeUtc="2020-01-01T00:00:00Z"), "machines[0].ports[0].endTimeUtc"),
    (ask(justification="x" * 1001), "justification"),
    (ask(justification="a\0b"), ""),
    (ask(justification="\ud800"), ""),
    (ask(sauce="me"), "machines[0].ports[0].sauce"),
    ({**ask(), "startTimeUtc": "2020-01-01T00:00:00Z"}, "startTimeUtc"),
    ({**ask(), "startTimeUtc": "9999-12-31T23:59:59-10:00"}, "startTimeUtc"),
    ({**ask(), "dryRun": "perhaps"}, "dryRun"),
    ({"machines": [{"id": "web-1", "ports": [{"number": 22}, {"number": 22}]}]}, "machines[0].ports[1].number"),
    ({"machines": ask()["machines"] * 2}, "machines[1].id"),
]


@pytest.mark.parametrize(("body", "field"), BAD)
def test_bad_input_is_a_400_that_names_the_field_and_changes_nothing(
    server: Server, api: httpx.Client, body: dict[str, Any], field: str
) -> None:
    """Case PV3."""
    before = server.rows()["request"]
    answer = api.post("requests", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].get("target", "").startswith(field), answer.text
    assert server.rows()["request"] == before


def test_an_unknown_machine_is_named(api: httpx.Client) -> None:
    answer = api.post("requests", json=ask(machine="web-9"))
    assert answer.status_code == 404
    assert "web-9" in answer.json()["error"]["message"]


def test_somebody_elses_request_is_not_there_for_a_requester(server: Server, api: httpx.Client) -> None:
    made = api.post("requests", json=ask()).json()
    token = server.token_of("requester-1", "JIT Requester", "/subscriptions/00000000-0000-0000-0000-000000000000")
    with server.client(token) as other:
        assert other.get(f"/api/v1/requests/{made['id']}").status_code == 404
        assert other.get(f"/api/v1/grants/{made['grants'][0]['id']}").status_code == 404


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "soon"])
def test_waiting_is_bounded(api: httpx.Client, wait: str) -> None:
    assert api.post("requests", json=ask(), params={"wait": wait}).status_code == 400


def test_sessions_that_shall_end_and_cannot_are_told_of_before_anything_is_asked_for(
    server: Server, api: httpx.Client
) -> None:
    why = "a network security group lets established connections go on"

    def go_on(tx: Tx) -> None:
        (found,) = machines.find(tx, "web-1")
        machines.put(tx, [replace(found, facts={SESSIONS_GO_ON: why})])

    server.call(server.service.store.write(go_on))
    dry = {**ask(duration="PT1H"), "dryRun": True}
    assert api.post("requests", json=dry).json()["terms"][0]["sessionNote"] == "", "nobody wants them ended"
    api.put("guardrails/end", json={"selector": {"scope": "/"}, "limits": {"session": "end"}})
    assert api.post("requests", json=dry).json()["terms"][0]["sessionNote"] == why
