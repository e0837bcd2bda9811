"""A dry run and the real thing agree, whatever is asked."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server import Server

SOURCES = ["10.1.2.3", "10.0.0.0/8", "203.0.113.7", "0.0.0.0/0", "*", "2001:db8::1"]


@pytest.fixture(scope="module")
def askers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[httpx.Client]]:
    """Clients of people with different rights, at a server with policies and guardrails of several kinds."""
    with Server(tmp_path_factory.mktemp("data"), reconciles=False) as server, server.client() as owner:
        _furnish(owner)
        group = server.machine_id("web-1").rpartition("/providers/")[0]
        tokens = [server.token, server.token_of("asker", "JIT Requester", group), server.token_of("reader", "Reader")]
        clients = [server.client(token) for token in tokens]
        yield clients
        for client in clients:
            client.close()


def _furnish(owner: httpx.Client) -> None:
    inside = {"number": 22, "protocol": "TCP", "sources": ["10.0.0.0/8", "2001:db8::/32"], "maxDuration": "PT1H"}
    anywhere = {"number": 443, "protocol": "*", "maxDuration": "PT3H"}
    bodies = {
        "policies/one": {"machines": [{"id": "web-1", "ports": [inside, anywhere]}]},
        "policies/two": {"machines": [{"id": "web-1", "ports": [{**anywhere, "number": 22, "maxDuration": "PT10M"}]}]},
        "policies/three": {"machines": [{"id": "web-2", "ports": [inside]}]},
        "guardrails/why": {"selector": {"ports": [443]}, "limits": {"reasonPattern": "INC-#"}},
        "guardrails/eyes": {"selector": {"ports": [22]}, "limits": {"approvals": 1, "maxDuration": "PT30M"}},
    }
    for path, body in bodies.items():
        assert owner.put(f"/api/v1/{path}", json=body).status_code == 200


def lengths() -> st.SearchStrategy[dict[str, str]]:
    """Ends of every kind."""
    durations = st.sampled_from(["PT5M", "PT10M", "PT31M", "PT1H", "PT4H"])
    ends = st.sampled_from(["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
    said = [durations.map(lambda text: {"duration": text}), ends.map(lambda text: {"endTimeUtc": text}), st.just({})]
    return st.one_of(said)


def ports() -> st.SearchStrategy[dict[str, Any]]:
    """Ports with everything that can be said of one."""
    sources = st.lists(st.sampled_from(SOURCES), min_size=1, max_size=2)
    named = st.fixed_dictionaries(
        {"number": st.sampled_from([22, 443, 8080]), "sources": sources},
        optional={"protocol": st.sampled_from(["TCP", "UDP", "*"])},
    )
    return st.tuples(named, lengths()).map(lambda both: {**both[0], **both[1]})


def asks() -> st.SearchStrategy[dict[str, Any]]:
    """Whole asks."""
    machine: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "id": st.sampled_from(["web-1", "WEB-2", "win-1"]),
            "ports": st.lists(ports(), min_size=1, max_size=2, unique_by=lambda port: port["number"]),
        }
    )
    return st.fixed_dictionaries(
        {
            "machines": st.lists(machine, min_size=1, max_size=2, unique_by=lambda one: one["id"]),
            "justification": st.sampled_from(["", "because", "INC-7"]),
        }
    )


@given(body=asks(), who=st.integers(0, 2))
def test_a_dry_run_and_the_real_thing_agree(askers: list[httpx.Client], body: dict[str, Any], who: int) -> None:
    dry = askers[who].post("/api/v1/requests", json={**body, "dryRun": True})
    explained = askers[who].post("/api/v1/requests/explain", json=body)
    real = askers[who].post("/api/v1/requests", json=body)
    assert dry.status_code == 200, dry.text
    told = dry.json()
    assert _timeless(explained.json()) == _timeless(told)
    if told["decision"] == "denied":
        assert real.status_code in (400, 403)
        assert {reason["code"] for reason in told["reasons"]} >= _codes(real.json()["error"])
        return
    assert real.status_code == 201, (told, real.text)
    grants = real.json()["grants"]
    assert [(g["machine"], g["port"], g["protocol"], g["sources"]) for g in grants] == [
        (t["machine"], t["port"], t["protocol"], t["sources"]) for t in told["terms"]
    ]
    expected = "pending" if told["decision"] == "needsApproval" else "opening"
    assert {grant["state"] for grant in grants} == {expected}


def _codes(error: dict[str, Any]) -> set[str]:
    return {detail["code"] for detail in error["details"]} or {error["code"]}


def _timeless(decision: dict[str, Any]) -> dict[str, Any]:
    """Without the texts that name the present moment."""
    return {**decision, "reasons": [(reason["code"], reason["field"]) for reason in decision["reasons"]]}
