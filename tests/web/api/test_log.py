"""What the log tells of a call, and of what comes of it: by the ids that the answers have."""

from collections.abc import MutableMapping
from typing import Any

import httpx
import structlog
from structlog.contextvars import merge_contextvars
from tests.processes import until
from tests.web.api.conftest import ask

Line = MutableMapping[str, Any]
CORRELATION = "6c1e2a52-1c0f-4a8e-9a44-0d5f0c6e7b11"


def test_one_request_is_followed_by_its_ids_from_the_call_to_open_to_shut(api: httpx.Client) -> None:
    headers = {"x-ms-correlation-request-id": CORRELATION}
    with structlog.testing.capture_logs(processors=[merge_contextvars]) as told:
        body = ask(protocol="TCP", duration="PT1H")
        asked = api.post("requests", json=body, params={"wait": 60}, headers=headers).json()
        grant = asked["grants"][0]["id"]
        closed = api.post(f"grants/{grant}/close", params={"wait": 60})
        until(lambda: [line for line in of(told, grant) if line["state"] == "closed"], "it is not told that it shut")
        until(lambda: len(calls(told)) == 2, "the calls are not told of")
    found = {line["state"]: line for line in of(told, grant)}
    assert list(found) == ["opening", "open", "closing", "closed"]
    assert {line["request"] for line in found.values()} == {asked["id"]}
    # By the call that asked, and the one that closed; in between, by looks at the firewall.
    assert found["opening"]["correlation"] == CORRELATION
    assert found["closing"]["correlation"] == closed.headers["x-ms-correlation-request-id"]
    [scope] = {line["scope"] for line in found.values()}
    for state in ("open", "closed"):
        assert found[state]["correlation"].startswith(f"{scope}#")
    assert [(line["path"], line["correlation"]) for line in calls(told)] == [
        ("/api/v1/requests", CORRELATION),
        (f"/api/v1/grants/{grant}/close", found["closing"]["correlation"]),
    ]


def calls(told: list[Line]) -> list[Line]:
    return [line for line in list(told) if line["event"] == "request"]


def of(told: list[Line], grant: str) -> list[Line]:
    return [line for line in list(told) if line["event"] == "grants moved" and grant in line["grants"].split(",")]
