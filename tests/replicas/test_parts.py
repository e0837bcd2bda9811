"""Replicas that each do a part: one answers people, one agents, one does the rest."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.joined import Joined
from tests.netns import ALICE4, BOB4, Network
from tests.postgresql import database
from tests.processes import MODULES, Jitgate, share_keys, until
from tests.replicas.conftest import NOTICE, replica

from jitgate.config.parts import Part
from jitgate.core.errors import Invalid
from jitgate.ops.serve import serve

pytestmark = pytest.mark.needs_root

TOKEN = "0123456789abcdef" * 4


@dataclass
class Parts:
    web: Jitgate
    agents: Jitgate
    worker: Jitgate


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[Parts]:
    place = tmp_path_factory.mktemp("parts")
    token = place / "metrics.token"
    token.write_text(f"{TOKEN}\n")
    settings = f'{NOTICE}[metrics]\ntoken_file = "{token}"\n'
    with database() as url, replica(place / "web", url, network, "web", settings) as web:
        agents, worker = (replica(place / role, url, network, role, settings) for role in ("agents", "worker"))
        share_keys(web, agents, worker)
        with agents, worker:
            yield Parts(web, agents, worker)


def status(jitgate: Jitgate, network: Network, path: str, method: str = "GET") -> int:
    def ask() -> int:
        with jitgate.client() as client:
            return client.request(method, path).status_code

    return network.host.inside(ask)


def test_each_answers_its_own_callers_and_says_that_it_is_ready(parts: Parts, network: Network) -> None:
    for each in (parts.web, parts.agents, parts.worker):
        assert status(each, network, "/healthz") == status(each, network, "/readyz") == 200
    asked = [status(each, network, "/api/v1/whoami") for each in (parts.web, parts.agents, parts.worker)]
    assert asked == [200, 404, 404]
    polled = [status(each, network, "/agents/v1/poll", "POST") for each in (parts.web, parts.agents, parts.worker)]
    assert polled == [404, 401, 404]


def test_each_tells_prometheus_which_part_it_does_and_how_all_of_it_stands(parts: Parts, network: Network) -> None:
    told = [metrics(each, network) for each in (parts.web, parts.agents, parts.worker)]
    for text, role in zip(told, ("web", "agents", "worker"), strict=True):
        assert re.search(rf'^jitgate_build_info{{.*role="{role}".*}} 1\.0$', text, re.MULTILINE)
        assert "\njitgate_database_reached 1.0\n" in text
        assert "\njitgate_installation_queue_age_seconds " in text
        assert '\njitgate_certificate_end_timestamp_seconds{certificate="server"} ' in text
    assert 'jitgate_installation_replicas{role="agents"} 1.0' in told[0]


def metrics(jitgate: Jitgate, network: Network) -> str:
    def ask() -> str:
        with jitgate.client() as client:
            return client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status().text

    return network.host.inside(ask)


def test_only_the_worker_has_processes_that_hold_firewalls(parts: Parts) -> None:
    assert parts.worker.pid("agent")
    assert not [each for each in (parts.web, parts.agents) for name in MODULES if name != "server" and each.pids(name)]


def test_what_one_is_asked_the_second_opens_and_the_third_seals(parts: Parts, network: Network, tmp_path: Path) -> None:
    with Joined(network.alice, tmp_path / "web-1", "web-1") as host, network.alice.listen(22):
        token, pin = host.token(parts.web)
        done = host.run("join", parts.agents.url, "--token", token, "--ca-pin", pin, "--name", "web-1")
        assert done.returncode == 0, done.stderr
        host.start().protect(parts.web)
        assert not network.bob.can_connect(ALICE4, 22)
        grant = parts.web.open("web-1", BOB4, seconds=60)
        assert network.bob.can_connect(ALICE4, 22)
        parts.web.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
        assert not network.bob.can_connect(ALICE4, 22)
    until(lambda: parts.web.activity("")[0]["sequence"], "nobody seals the record")


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.ALL])
def test_a_part_alone_needs_a_database_that_replicas_can_share(tmp_path: Path, part: Part) -> None:
    with pytest.raises(Invalid, match="a file cannot be shared") as refused:
        serve(tmp_path, "127.0.0.1:0", part)
    assert "JITGATE_DATABASE" in json.dumps(refused.value.reasons[0].allowed)
