"""A server that is watched, as its own processes: what the settings say of log, metrics and spans is so."""

import json
from pathlib import Path

import pytest
from tests.collector import Collector
from tests.processes import Jitgate, until

TOKEN = "0123456789abcdef" * 4


def test_one_call_is_in_the_log_the_metrics_and_the_spans(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with Collector() as collector:
        settings = (
            f'[log]\nformat = "json"\n[metrics]\ntoken_file = "{token}"\n[tracing]\nendpoint = "{collector.url}"\n'
        )
        with Jitgate(tmp_path / "data", {"web-1": "jg-none"}, settings=settings) as jitgate, jitgate.client() as client:
            correlation = client.get("/api/v1/whoami").headers["x-ms-correlation-request-id"]
            told = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status().text
            line = until(lambda: [one for one in lines(jitgate.log) if one.get("path") == "/api/v1/whoami"], "no line")
        # What is left is handed over at the end.
        assert [each for each in collector.spans() if each.startswith("GET /api/v1/whoami ")]
    assert line[0]["correlation"] == correlation
    assert {"jitgate.web", "jitgate.supervisor"} <= {one["logger"] for one in lines(jitgate.log)}
    assert 'jitgate_http_requests_total{method="GET",route="/api/v1/whoami",status="200"} 1.0' in told
    assert 'role="all"' in told


def lines(log: Path) -> list[dict[str, object]]:
    """Of the server, and of all that is started with it."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def test_a_file_of_tokens_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    jitgate = Jitgate(tmp_path / "data", {"web-1": "jg-none"}, settings='[metrics]\ntoken_file = "/nowhere/token"\n')
    with pytest.raises(AssertionError):
        jitgate.start()
    assert "metrics.token_file" in jitgate.log.read_text("utf-8")
