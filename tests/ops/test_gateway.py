"""The gateway inside a whole jitgate: real processes, real TCP. Whoever dies, no port stays open too long."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.gateway.scene import ALICE, BOB, Echo, echoes, is_cut
from tests.gateways import Gateway
from tests.processes import left, until
from tests.stalls import Stalls

from jitgate.ops import privileges


@pytest.fixture
def target() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def jitgate(tmp_path: Path, target: Echo) -> Iterator[Gateway]:
    with Gateway(tmp_path / "data", target) as made:
        made.protect()
        yield made


def test_a_grant_opens_a_mapped_port_for_its_source_and_every_face_tells_it(jitgate: Gateway) -> None:
    grant = jitgate.ask(ALICE, 60)
    port = grant["connection"]["port"]
    assert grant["connection"]["address"] == "127.0.0.1"
    assert grant["protocol"] == "TCP"
    assert "TCP only" in grant["detail"]
    assert reaches(ALICE, port)
    assert not reaches(BOB, port)
    machine = jitgate.machine("win-1")
    assert machine is not None
    assert machine["provider"] == "gateway"
    policy = jitgate.call("GET", f"{machine['policies'][0]}?api-version=2020-01-01")
    [shown] = policy["properties"]["virtualMachines"]
    assert shown["publicIpAddress"] == "127.0.0.1"
    [request] = policy["properties"]["requests"]
    assert request["virtualMachines"][0]["ports"][0]["mappedPort"] == port
    told = jitgate.run("ls")
    assert "win-1" in told.stdout
    opened = jitgate.run("open", "win-1", str(jitgate.target.port), "--for", "5m", "--from", BOB)
    assert f"127.0.0.1:{port}" in opened.stdout
    assert "TCP only" in opened.stdout
    assert reaches(BOB, port)


def test_an_early_close_cuts_the_session_and_nothing_listens(jitgate: Gateway) -> None:
    grant = jitgate.ask(ALICE, 60)
    with connect(ALICE, grant["connection"]["port"]) as session:
        assert echoes(session)
        assert jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")["state"] == "closed"
        assert is_cut(session)
    assert not reaches(ALICE, grant["connection"]["port"])


def test_a_machine_that_answers_past_the_gateway_is_exposed_until_it_does_not(jitgate: Gateway) -> None:
    def problem() -> str:
        machine = jitgate.machine("win-1")
        assert machine is not None
        return str(machine["ports"][0]["problem"])

    assert "past the gateway" in problem()
    enabled = jitgate.run("enable", "win-1")
    assert enabled.returncode != 0
    assert "exposed" in enabled.stderr
    jitgate.target.close()
    until(lambda: problem() == "", "it stays exposed", 90)


def test_udp_alone_is_refused_with_the_reason(jitgate: Gateway) -> None:
    with jitgate.client() as client:
        ports = [{"number": jitgate.target.port, "protocol": "UDP", "sources": [ALICE], "duration": "PT5M"}]
        answer = client.post("/api/v1/requests", json={"machines": [{"id": "win-1", "ports": ports}]})
    assert answer.status_code == 400
    [reason] = answer.json()["error"]["details"]
    assert reason["code"] == "ProtocolNotSupported"
    assert "relays TCP only" in reason["message"]


def test_when_the_gateway_is_killed_nothing_listens_and_its_successor_has_the_same_port(jitgate: Gateway) -> None:
    port = jitgate.ask(ALICE, 300)["connection"]["port"]
    with connect(ALICE, port) as session:
        jitgate.kill("gateway")
        assert is_cut(session)
        assert not reaches(ALICE, port)
    until(lambda: reaches(ALICE, port), "the grant is not taken up again")
    assert not reaches(BOB, port)


def test_when_the_server_is_killed_sessions_go_on_and_the_deadline_is_kept(jitgate: Gateway) -> None:
    limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
    jitgate.call("PUT", "/api/v1/guardrails/sessions-end", limits)
    grant = jitgate.ask(ALICE, 7)
    port = grant["connection"]["port"]
    os.kill(jitgate.supervisor.pid, signal.SIGSTOP)
    try:
        with connect(ALICE, port) as session:
            jitgate.kill("server")
            assert echoes(session)
            assert reaches(ALICE, port)
            assert left(grant) > 0, "the test was too slow to see it open"
            with Stalls() as stalls:
                assert is_cut(session)
                assert -0.5 - stalls.seconds < left(grant) <= max(0.4, 2 * grant["took"])
        assert not reaches(ALICE, port)
    finally:
        os.kill(jitgate.supervisor.pid, signal.SIGCONT)
    until(lambda: jitgate.grant(grant["id"])["state"] == "closed", "the next server does not take over")


def test_a_server_that_comes_back_finds_the_sessions_of_its_predecessor(jitgate: Gateway) -> None:
    grant = jitgate.ask(ALICE, 300)
    with connect(ALICE, grant["connection"]["port"]) as session:
        jitgate.kill("server")
        closed = jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")
        assert closed["state"] == "closed"
        assert is_cut(session)


def test_when_the_supervisor_is_killed_nothing_listens(jitgate: Gateway) -> None:
    port = jitgate.ask(ALICE, 300)["connection"]["port"]
    jitgate.supervisor.kill()
    until(lambda: not jitgate.pids("gateway"), "the gateway goes on alone")
    assert not reaches(ALICE, port)


def test_mapped_ports_and_identities_survive_a_restart(tmp_path: Path, target: Echo) -> None:
    made = Gateway(tmp_path / "data", target)
    with made:
        made.protect()
        port = made.ask(ALICE, 300)["connection"]["port"]
        before = made.machine("win-1")
    with made:
        after = until(lambda: made.machine("win-1"), "win-1 is not listed")
        assert before is not None
        assert after["uuid"] == before["uuid"]
        until(lambda: reaches(ALICE, port), "the grant is not taken up again")


def test_a_gateway_that_leaves_the_settings_takes_its_machines_and_their_grants_along(
    tmp_path: Path, target: Echo
) -> None:
    made = Gateway(tmp_path / "data", target)
    with made:
        made.protect()
        grant = made.ask(ALICE, 300)
    (made.directory / "jitgate.toml").write_text("")
    with made:
        until(lambda: made.grant(grant["id"])["state"] == "closed", "the grant stays")
        assert made.grant(grant["id"])["reason"] == "machineRemoved"
        assert made.machine("win-1") is None
        assert not reaches(ALICE, grant["connection"]["port"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="capabilities are Linux's")
def test_the_gateway_holds_no_right(jitgate: Gateway) -> None:
    assert privileges.held_capabilities(jitgate.pid("gateway")) == {}
    status = Path(f"/proc/{jitgate.pid('gateway')}/status").read_text()
    assert "NoNewPrivs:\t1" in status


def connect(source: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30, (source, 0))


def reaches(source: str, port: int) -> bool:
    """Whether the machine answers somebody there through a mapped port."""
    try:
        with connect(source, port) as made:
            return echoes(made)
    except OSError:
        return False
