"""What spans tell of a request, and what they never hold: what somebody has sent."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.collector import Collector
from tests.house import HOUR, House
from tests.processes import until
from tests.server import Server
from tests.web.api.conftest import ask

from jitgate import tracing
from jitgate.core.access import Span
from jitgate.tracing.exporting import Otel
from jitgate.web.app import create_app

CODE = "0123456789abcdef-sign-in-code"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """All that anything in this process exports, also after somebody has set a provider for all of it."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # There is one for a process, set once: by its own function it could not be taken away again.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    yield exporter
    provider.shutdown()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What jitgate exports."""
    exporter = InMemorySpanExporter()
    tracing.use(Otel(SimpleSpanProcessor(exporter), {"service.name": "jitgate"}))
    yield exporter
    tracing.end()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format(span.context.trace_id, "032x")


def links(span: ReadableSpan) -> set[str]:
    """The traces that it is linked to."""
    return {format(link.context.trace_id, "032x") for link in span.links}


def client_of(house: House) -> httpx.AsyncClient:
    app = create_app(house.service, trusted_proxies=(), allowed_hosts=("localhost",))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost")


async def test_a_code_that_somebody_signs_in_with_never_reaches_a_span(
    exported: InMemorySpanExporter, spans: InMemorySpanExporter
) -> None:
    with trace.get_tracer("tests").start_as_current_span("is exported"):
        pass
    async with House() as house, client_of(house) as client:
        for path in ("/sign-in/callback", "/sign-in/with/idp", f"/{CODE}", f"/api/v1/machines/{CODE}"):
            await client.get(path, params={"code": CODE, "state": CODE}, headers={"traceparent": CODE})
        await client.request(f"BREW{CODE}", f"/{CODE}", headers={"User-Agent": CODE})
    assert [span.name for span in exported.get_finished_spans()] == ["is exported"], "only ours are for others"
    told = spans.get_finished_spans()
    assert {"GET /sign-in/callback", "GET /sign-in/with/{provider}", "GET", "other"} <= {span.name for span in told}
    assert CODE not in "".join(span.to_json() for span in told)


async def test_what_an_error_says_is_not_told(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    async with House() as house, client_of(house) as client:

        def fails(*_: object) -> None:
            raise RuntimeError(CODE)

        monkeypatch.setattr(type(house.service.store), "write", fails)
        monkeypatch.setattr(type(house.service.store), "glance", fails)
        answer = await client.get("/api/v1/whoami", headers={"Authorization": f"Bearer jg_{'0' * 16}_{'a' * 43}"})
        assert answer.status_code == 500
    [call] = [span for span in spans.get_finished_spans() if span.name.startswith("GET")]
    assert not call.status.is_ok
    assert CODE not in call.to_json()


async def test_a_call_goes_on_in_the_trace_that_it_came_with(spans: InMemorySpanExporter) -> None:
    came = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with House() as house, client_of(house) as client:
        for sent in (f"00-{came}-00f067aa0ba902b7-01", "00-nonsense-01", f"00-{'0' * 32}-{'0' * 16}-01"):
            await client.get("/sign-in", headers={"traceparent": sent})
        await client.get("/healthz")
    traces = [trace_of(span) for span in named(spans, "GET /sign-in")]
    assert traces[0] == came
    assert came not in traces[1:]
    assert len(set(traces)) == 3
    assert not named(spans, "GET /healthz"), "it comes all the time, and says nothing"


async def test_a_request_is_a_trace_of_its_own_with_each_state_of_its_grants(spans: InMemorySpanExporter) -> None:
    async with House() as house:
        await house.enable("web-1")
        spans.clear()
        with tracing.span("a call"):
            grant = await house.open("web-1", span=Span(end=house.clock.wall() + HOUR))
        await house.pass_time(HOUR)
    [call], [root] = named(spans, "a call"), named(spans, "request")
    assert (trace_of(root), root.parent) == (grant.request, None)
    assert root.context is not None
    # By links, because it outlives the call: each leads to the other.
    assert trace_of(call) in links(root)
    assert grant.request in set().union(*map(links, spans.get_finished_spans())) - {trace_of(call)}
    for state, seconds in (("opening", 0), ("open", 3600), ("closing", 0)):
        [was] = named(spans, state)
        assert was.parent is not None
        assert (trace_of(was), was.parent.span_id) == (grant.request, root.context.span_id)
        assert was.start_time is not None
        assert was.end_time is not None
        assert (was.end_time - was.start_time) / 1e9 == pytest.approx(seconds, abs=1)
        assert was.attributes is not None
        assert was.attributes["jitgate.grant"] == grant.uid


async def test_a_look_at_a_firewall_is_linked_to_what_was_asked_for_and_holds_the_work_of_all(
    spans: InMemorySpanExporter,
) -> None:
    async with House() as house:
        await house.enable("web-1")
        grant = await house.open("web-1")
    looks = [look for look in named(spans, "look at a firewall") if grant.request in links(look)]
    assert len(looks) == 1
    within = [span.name for span in spans.get_finished_spans() if trace_of(span) == trace_of(looks[0])]
    assert set(within) >= {"connector", "database write"}
    assert looks[0].attributes is not None
    assert looks[0].attributes["jitgate.connector"] == "memory"
    [opening] = named(spans, "opening")
    assert links(opening) == {trace_of(looks[0])}


# --- a collector -----------------------------------------------------------------------------------------


def test_spans_of_a_real_server_arrive_at_a_collector(tmp_path: Path) -> None:
    with Collector() as collector:
        tracing.begin(collector.url, {"service.name": "jitgate", "service.instance.id": "here"})
        asked = ask_a_server(tmp_path)
        tracing.end()
        found = until(collector.spans, "nothing arrives")
    assert f"request {asked['id']}" in found
    assert f"opening {asked['id']}" in found
    assert any(each.startswith("POST /api/v1/requests ") for each in found)
    assert "here" in collector.resource()


def ask_a_server(directory: Path) -> Any:
    with Server(directory) as server, server.client() as client:
        client.post("/api/v1/machines/enable", json={"machines": ["web-1"]}, params={"wait": 60})
        asked = client.post("/api/v1/requests", json=ask(protocol="TCP", duration="PT1H"), params={"wait": 60}).json()
    assert asked["grants"][0]["state"] == "open"
    return asked


def test_where_nobody_traces_nothing_of_it_is_loaded() -> None:
    code = """
import sys
import jitgate.main.house
from jitgate import tracing
with tracing.span("x") as span:
    span.note({"a": 1})
tracing.asked("0" * 32, None)
tracing.end()
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
print("jitgate.tracing.exporting" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nFalse\n"
