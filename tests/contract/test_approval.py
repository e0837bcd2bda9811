"""Approval over Microsoft's contract, which has no word for it: 202 and `Initiating` while it waits, then as ever."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.contract.arm import Arm, eventually
from tests.server import Server

LIMITS: dict[str, Any] = {"approvals": 1, "reasonPattern": "INC-#"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as running:
        with running.client() as client:
            answer = client.put("/api/v1/guardrails/four-eyes", json={"limits": LIMITS})
            assert answer.status_code == 200, answer.text
        running.token_of("dora", "JIT Approver")
        yield running


def waiting(approver: httpx.Client) -> str:
    [one] = approver.get("/api/v1/approvals").json()["items"]
    return str(one["request"]["id"])


def test_a_missing_justification_that_is_required_is_a_400(arm: Arm) -> None:
    arm.put()
    for body in (arm.ask(), {**arm.ask(), "justification": "please"}):
        answer = arm.initiate(body)
        assert answer.status_code == 400
        assert answer.json()["error"]["target"] == "justification"


def test_a_waiting_request_is_202_initiating_a_denied_one_revoked_an_approved_one_initiated(
    arm: Arm, server: Server
) -> None:
    arm.put()
    with server.client(server.token_of("egon", "JIT Approver")) as approver:
        answer = arm.initiate({**arm.ask(), "justification": "INC-7"})
        assert answer.status_code == 202
        assert answer.json()["virtualMachines"][0]["ports"][0]["status"] == "Initiating"
        assert arm.statuses() == ["Initiating/UserRequested"]
        assert approver.post(f"/api/v1/requests/{waiting(approver)}/deny", json={}).status_code == 200
        assert arm.statuses() == ["Revoked/UserRequested"]
        arm.initiate({**arm.ask(), "justification": "INC-8"})
        assert approver.post(f"/api/v1/requests/{waiting(approver)}/approve", json={}).status_code == 200
        eventually(lambda: arm.statuses()[-1] == "Initiated/UserRequested")
