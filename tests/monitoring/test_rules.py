"""What is shipped to watch over an installation: rules and a dashboard that know its metrics, and a Prometheus that
reads a real server by what the how-to says."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.processes import until
from tests.server import Server
from tests.unit.test_docs import anchors, blocks

from jitgate.web.metrics import Watched

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to" / "monitor.md"
METRICS = ROOT / "docs" / "reference" / "metrics.md"
RULES = ROOT / "deploy" / "prometheus" / "jitgate.yaml"
CALLED = Path(__file__).with_name("alerts.yaml")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "jitgate.json").read_text("utf-8"))
ALERTS = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN = [target["expr"] for panel in PANELS for target in panel["targets"]]
TOKEN = "0123456789abcdef" * 4

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("prometheus")),
    reason="Prometheus and its promtool are missing: tools/setup dev, as root with apt",
)


def known() -> dict[str, str]:
    """Every metric that is documented, which another test compares with the program, with its kind."""
    return dict(re.findall(r"^\| `(jitgate_\w+)` \| (\w+) \|", METRICS.read_text("utf-8"), re.MULTILINE))


def of_us(expression: str) -> set[str]:
    """The metrics of ours that an expression names, as they are documented."""
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"jitgate_\w+", expression)}


def promtool(*arguments: str) -> None:
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_prometheus
def test_the_rules_are_rules() -> None:
    promtool("check", "rules", str(RULES))


@needs_prometheus
def test_each_alert_calls_when_it_should_and_not_before() -> None:
    promtool("test", "rules", str(CALLED))


def test_each_alert_is_tried_both_ways() -> None:
    tries = [each for story in yaml.safe_load(CALLED.read_text("utf-8"))["tests"] for each in story["alert_rule_test"]]
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    for calls in (True, False):
        assert {each["alertname"] for each in tries if bool(each["exp_alerts"]) is calls} == set(names)


@needs_prometheus
def test_what_the_dashboard_asks_for_can_be_asked_for(tmp_path: Path) -> None:
    """By promtool, which takes expressions as rules."""
    plain = [re.sub(r"\$__rate_interval", "5m", expression).replace("$", "") for expression in SHOWN]
    rules = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(plain)]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    promtool("check", "rules", str(file))


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in ALERTS), *SHOWN])
def test_every_metric_that_is_asked_for_exists_and_none_is_counted_twice(expression: str) -> None:
    assert of_us(expression) <= known().keys()
    for name in of_us(expression):
        if name.startswith("jitgate_installation"):
            # Every replica tells the same: what is added up must be the largest of them.
            assert f"max without (instance) ({name}" in expression
        if known()[name] == "histogram":
            assert f"rate({name}_bucket" in expression


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    assert set().union(*map(of_us, SHOWN)) == known().keys()


def test_every_panel_has_a_place_of_its_own_and_says_what_it_shows() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [(at["x"] + x, at["y"] + y) for at in places for x in range(at["w"]) for y in range(at["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    for panel in PANELS:
        assert panel["description"].endswith(".")
        assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_a_section_that_names_it_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / path == HOW_TO
    assert anchor in anchors(HOW_TO)
    sections = re.split(r"^## ", HOW_TO.read_text("utf-8"), flags=re.MULTILINE)
    [found] = [each for each in sections if f"`{rule['alert']}`" in each]
    assert re.sub(r"[^\w\- ]", "", found.partition("\n")[0].lower()).replace(" ", "-") == anchor


# --- Prometheus itself ------------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server, and the file of the token that its metrics are read with."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with Server(tmp_path, reconciles=False, watched=Watched(token)) as server:
        yield server, token


@needs_prometheus
def test_prometheus_reads_a_server_as_the_how_to_says_and_takes_the_rules(
    read: tuple[Server, Path], tmp_path: Path
) -> None:
    server, token = read
    [shown] = [block for language, block in blocks(HOW_TO) if language == "text" and "scrape_configs" in block]
    settings = yaml.safe_load(shown)
    [job] = settings["scrape_configs"]
    job["authorization"]["credentials_file"] = str(token)
    job["tls_config"]["ca_file"] = str(server.ca)
    job["static_configs"] = [{"targets": [httpx.URL(server.base_url).netloc.decode()]}]
    settings |= {"global": {"scrape_interval": "1s"}, "rule_files": [str(RULES)]}
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump(settings), "utf-8")
    promtool("check", "config", str(file))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = start(["--config.file", str(file), f"--storage.tsdb.path={tmp_path}/data-of-prometheus"], address)
    try:
        until(lambda: ask(address, 'up{job="jitgate"} == 1'), "Prometheus does not read it", seconds=120)
        until(lambda: ask(address, "jitgate_database_reached == 1"), "it reads nothing of ours", seconds=120)
        rules = httpx.get(f"http://{address}/api/v1/rules", trust_env=False).json()["data"]["groups"]
        assert {rule["name"] for group in rules for rule in group["rules"]} == {rule["alert"] for rule in ALERTS}
    finally:
        process.terminate()
        process.wait(60)


def start(arguments: Sequence[str], address: str) -> subprocess.Popen[bytes]:
    listening = f"--web.listen-address={address}"
    return subprocess.Popen(
        ["prometheus", *arguments, listening], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )


def ask(address: str, query: str) -> list[Any]:
    try:
        answer = httpx.get(f"http://{address}/api/v1/query", params={"query": query}, trust_env=False)
    except httpx.HTTPError:
        return []
    return list(answer.json()["data"]["result"]) if answer.is_success else []
