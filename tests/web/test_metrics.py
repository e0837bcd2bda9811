"""What Prometheus is told, and that nobody else is told it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.house import START, House

from jitgate.core.access import Span
from jitgate.core.errors import Unavailable
from jitgate.store import measures
from jitgate.trust import certificates
from jitgate.web.app import create_app
from jitgate.web.metrics import Watched

TOKEN, OTHER = "a" * 32, "b" * 32
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"

Ask = Callable[..., Any]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    keep(path, TOKEN)
    return path


def keep(path: Path, *tokens: str) -> None:
    path.write_text("".join(f"{token}\n" for token in tokens))


@asynccontextmanager
async def watched(token_file: Path | None, **more: Any) -> AsyncIterator[tuple[House, httpx.AsyncClient]]:
    """A house, and a client of it that holds the token of its metrics."""
    async with House() as house:
        app = create_app(
            house.service,
            trusted_proxies=(),
            allowed_hosts=("localhost",),
            watched=Watched(token_file, **more),
        )
        headers = {"Authorization": f"Bearer {TOKEN}"}
        transport = httpx.ASGITransport(app)
        # By a name that clients may not call it by: monitors find replicas by their addresses.
        async with httpx.AsyncClient(transport=transport, base_url="https://192.0.2.5", headers=headers) as client:
            yield house, client


async def read(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """All samples, by name and labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_whoever_has_no_token_of_the_file_reads_nothing(token_file: Path) -> None:
    async with watched(token_file) as (_, client):
        for sent in ("", "Bearer", f"Bearer {OTHER}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"):
            answer = await client.get("/metrics", headers={b"Authorization": sent.encode()})
            assert answer.status_code == 401, sent
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert "jitgate_" not in answer.text


@pytest.mark.parametrize("content", [None, "", "short", f"{TOKEN}\nshort"])
async def test_without_a_file_that_does_nobody_reads(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    for file in (path, None):
        async with watched(file) as (_, client):
            assert (await client.get("/metrics")).status_code == 401


async def test_the_token_opens_nothing_else(token_file: Path) -> None:
    async with watched(token_file) as (_, client):
        for path in ("/api/v1/whoami", "/api/v1/machines", "/metrics/", "/METRICS"):
            answer = await client.get(path, headers={"Host": "localhost"})
            assert answer.status_code == 401, path


async def test_a_token_is_replaced_without_a_gap_and_without_a_restart(token_file: Path) -> None:
    async with watched(token_file) as (_, client):
        new = {"Authorization": f"Bearer {OTHER}"}
        assert (await client.get("/metrics", headers=new)).status_code == 401
        keep(token_file, TOKEN, OTHER)
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/metrics", headers=new)).status_code == 200
        keep(token_file, OTHER)
        assert (await client.get("/metrics")).status_code == 401


async def test_the_page_has_every_metric_and_no_other(token_file: Path, tmp_path: Path) -> None:
    async with watched(token_file) as (_, client):
        text = (await client.get("/metrics")).text
    told = dict(re.findall(r"^# TYPE (jitgate_\w+) (\w+)$", text, re.MULTILINE))
    rows = re.findall(r"^\| `(jitgate_\w+)` \| (\w+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == told
    assert len(rows) == len(told), "a metric stands twice"


async def test_the_page_has_the_labels_of_every_metric(token_file: Path, tmp_path: Path) -> None:
    found = certificates.ensure(tmp_path, ["localhost"], START)
    async with watched(token_file, certificates={"server": found.server}, receivers=["a"], outlets=["b"]) as (
        house,
        client,
    ):
        await house.enable("web-1")
        await house.close_early((await house.open("web-1")).uid)
        samples = await read(client)
    rows = re.findall(r"^\| `(jitgate_\w+)` \| \w+ \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    for name, *labels in samples:
        family = re.sub(r"_(bucket|count|sum)$", "", name)
        # Which jitgate it is, is told by the process that is one (tests/replicas).
        if family in documented and family != "jitgate_build_info":
            assert {label.partition("=")[0] for label in labels} - {"le"} == documented[family], name


async def test_opening_and_closing_are_timed_once_they_are_on_record(token_file: Path) -> None:
    async with watched(token_file) as (house, client):
        await house.enable("web-1")
        before = await read(client)
        await house.open("web-1", span=Span(end=house.clock.wall() + timedelta(hours=1)))
        await house.pass_time(timedelta(hours=1, seconds=3))
        after = await read(client)
    lateness = ("jitgate_close_lateness_seconds_sum", "reason=expired")
    count = ("jitgate_close_lateness_seconds_count", "reason=expired")
    assert after[count] - before.get(count, 0) == 1
    assert after[lateness] - before.get(lateness, 0) == pytest.approx(3, abs=0.1)
    opened = ("jitgate_opening_seconds_count",)
    assert after[opened] - before[opened] == 1
    for state, reason in (("open", ""), ("closing", "expired"), ("closed", "expired")):
        moved = ("jitgate_moves_total", f"reason={reason}", f"state={state}")
        assert after[moved] - before.get(moved, 0) == 1, moved


async def test_a_pass_that_fails_is_counted_and_its_scope_fails_until_it_works_again(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, failed = (
        ("jitgate_installation_scopes_failing", "connector=memory"),
        (
            "jitgate_passes_total",
            "connector=memory",
            "outcome=failed",
        ),
    )
    monkeypatch.setattr("jitgate.web.metrics.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("jitgate.web.metrics._SHARE", 0)
    async with watched(token_file) as (house, client):
        await house.enable("web-1")
        before = await read(client)
        house.firewall.fail_next(1)
        asked = await house.ask("web-1")
        await house.reconciler.reconcile(asked.grants[0].grant.scope)
        during = await read(client)
        await house.pass_time(timedelta(minutes=1))
        after = await read(client)
    assert during[failed] - before.get(failed, 0) == 1
    assert (before.get(failing), during.get(failing), after.get(failing)) == (None, 1, None)
    assert during["jitgate_leases",] == 0


async def test_an_answer_is_counted_by_its_route_and_nothing_that_was_sent_becomes_a_label(token_file: Path) -> None:
    secret = "eyJhbGciOiJub25lIn0"
    async with watched(token_file) as (_, client):
        local = {"Host": "localhost"}
        await client.get(f"/sign-in/with/{secret}?code={secret}", headers=local)
        await client.get(f"/api/v1/machines/{secret}", headers=local)
        await client.request(f"BREW{secret[:8]}", f"/{secret}", headers=local)
        answer = await client.get("/metrics")
        samples = await read(client)
    assert secret not in answer.text
    assert f"BREW{secret[:8]}" not in answer.text
    counted = "jitgate_http_requests_total"
    assert samples[counted, "method=GET", "route=/sign-in/with/{provider}", "status=404"] >= 1
    assert samples[counted, "method=GET", "route=/metrics", "status=200"] >= 1
    assert samples[counted, "method=other", "route=", "status=401"] >= 1


async def test_many_who_ask_measure_the_database_once(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[None] = []
    take = measures.take

    def counted(*given: Any) -> Any:
        taken.append(None)
        return take(*given)

    monkeypatch.setattr(measures, "take", counted)
    async with watched(token_file) as (_, client):
        await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
        assert len(taken) == 1


async def test_what_is_counted_is_told_while_the_database_is_away(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(*_: object) -> None:
        raise Unavailable("it is away")

    monkeypatch.setattr(measures, "take", take)
    async with watched(token_file) as (_, client):
        samples = await read(client)
    assert samples["jitgate_database_reached",] == 0
    assert ("jitgate_leases",) in samples
    assert not [name for name, *_ in samples if name.startswith("jitgate_installation")]


async def test_certificates_and_the_last_backup_are_told_by_their_moments(token_file: Path, tmp_path: Path) -> None:
    now = START
    made = certificates.ensure(tmp_path, ["localhost"], now)
    last = tmp_path / "last-backup"
    last.write_text(f"{now.isoformat()}\n")
    files = {"server": made.server, "authority": made.authority, "gone": tmp_path / "none.pem"}
    async with watched(token_file, certificates=files, backup=last) as (_, client):
        samples = await read(client)
    ends = {
        labels[0]: value
        for name, *labels, value in ((*key, value) for key, value in samples.items())
        if name == "jitgate_certificate_end_timestamp_seconds"
    }
    assert ends == {
        "certificate=server": certificates.end_of(made.server).timestamp(),
        "certificate=authority": certificates.end_of(made.authority).timestamp(),
    }
    assert samples["jitgate_backup_timestamp_seconds",] == now.timestamp()
