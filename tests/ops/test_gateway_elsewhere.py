"""A gateway whose server is elsewhere: a process of its own, without rights, that polls over TLS."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.gateway.scene import ALICE, BEHIND, BOB, Echo, echoes, is_cut
from tests.elsewhere import Elsewhere
from tests.ops.test_gateway import connect, reaches
from tests.processes import Jitgate, left, until
from tests.stalls import Stalls

from jitgate.agent.generation import Generation
from jitgate.connectors.hosts.roster import running_pid
from jitgate.ops import privileges

CAROL = "127.0.0.4"
ON_MACOS = """
import asyncio, os, socket, sys, time  # Python's own first: it looks for more than we do.
del os.fdatasync, time.CLOCK_BOOTTIME, socket.AF_NETLINK
sys.platform = "darwin"
from jitgate.agent.command import run
run()
"""


@pytest.fixture(scope="module")
def target() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture(scope="module")
def jitgate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jitgate]:
    with Jitgate(tmp_path_factory.mktemp("server") / "data", {}) as made:
        yield made


@pytest.fixture(scope="module")
def edge(jitgate: Jitgate, tmp_path_factory: pytest.TempPathFactory, target: Echo) -> Iterator[Elsewhere]:
    """A gateway that has joined, with a machine behind it whose port is protected."""
    with Elsewhere(tmp_path_factory.mktemp("elsewhere") / "edge", target) as made:
        joined = made.join(jitgate)
        assert joined.returncode == 0, joined.stderr
        made.start()
        protect(jitgate, target, "win-1")
        yield made


@pytest.fixture(autouse=True)
def in_order(edge: Elsewhere, jitgate: Jitgate) -> None:
    """Whatever the test before has done: server and gateway run, and talk to each other."""
    if jitgate.supervisor.poll() is not None:
        jitgate.start()
    if edge._process is not None and edge._process.poll() is not None:
        edge.start()


def protect(jitgate: Jitgate, target: Echo, machine: str) -> None:
    until(lambda: jitgate.machine(machine), f"{machine} is not listed")
    part = {"id": machine, "ports": [{"number": target.port, "protocol": "*", "sources": ["*"], "maxDuration": "PT3H"}]}
    jitgate.call("PUT", f"/api/v1/policies/{machine}", {"machines": [part]})
    until(lambda: (jitgate.machine(machine) or {})["ports"], "it is not protected")


def ask(jitgate: Jitgate, edge: Elsewhere, source: str, seconds: int, machine: str = "win-1") -> dict[str, Any]:
    return jitgate.open(machine, source, seconds=seconds, port=edge.target.port)


def close(jitgate: Jitgate, grant: Mapping[str, Any]) -> None:
    assert jitgate.call("POST", f"/api/v1/grants/{grant['id']}/close?wait=60")["state"] == "closed"


def test_a_grant_opens_a_mapped_port_elsewhere_and_every_face_tells_it(jitgate: Jitgate, edge: Elsewhere) -> None:
    grant = ask(jitgate, edge, ALICE, 60)
    port = grant["connection"]["port"]
    assert grant["connection"]["address"] == "127.0.0.1"
    assert edge.first <= port <= edge.first + 100
    assert reaches(ALICE, port)
    assert not reaches(BOB, port)
    machine = jitgate.machine("win-1")
    assert machine is not None
    assert (machine["provider"], machine["os"], machine["addresses"]) == ("gateway", "windows", [BEHIND])
    policy = jitgate.call("GET", f"{machine['policies'][0]}?api-version=2020-01-01")
    assert policy["properties"]["virtualMachines"][0]["publicIpAddress"] == "127.0.0.1"
    [request] = policy["properties"]["requests"]
    assert request["virtualMachines"][0]["ports"][0]["mappedPort"] == port
    opened = jitgate.run("open", "win-1", str(edge.target.port), "--for", "5m", "--from", BOB)
    assert f"127.0.0.1:{port}" in opened.stdout
    assert f"{edge.target.port} at {port}" in edge.run("ls").stdout
    close(jitgate, grant)
    assert not reaches(ALICE, port)


def test_it_runs_without_any_right(edge: Elsewhere) -> None:
    assert privileges.held_capabilities(edge.pid) == {}
    assert "NoNewPrivs:\t1" in Path(f"/proc/{edge.pid}/status").read_text()


def test_what_it_has_shut_it_has_signed(jitgate: Jitgate, edge: Elsewhere) -> None:
    close(jitgate, ask(jitgate, edge, ALICE, 60))
    applied = jitgate.activity("Firewall/scopes/apply")
    assert any(each["properties"].get("proof") for each in applied if each["outcome"] == "Succeeded")


def test_connections_end_at_their_deadline_with_the_server_dead(jitgate: Jitgate, edge: Elsewhere) -> None:
    limits = {"selector": {"scope": "/"}, "limits": {"session": "end"}}
    jitgate.call("PUT", "/api/v1/guardrails/sessions-end", limits)
    grant = ask(jitgate, edge, ALICE, 7)
    port = grant["connection"]["port"]
    with connect(ALICE, port) as session:
        jitgate.kill_all()
        assert echoes(session)
        assert reaches(ALICE, port)
        assert left(grant) > 0, "the test was too slow to see it open"
        with Stalls() as stalls:
            assert is_cut(session)
            assert -0.5 - stalls.seconds < left(grant) <= max(0.4, 2 * grant["took"])
    assert not reaches(ALICE, port)
    jitgate.start()
    until(lambda: jitgate.grant(grant["id"])["state"] == "closed", "the next server does not take over")


def test_a_successor_has_the_same_mapped_port_and_opens_what_is_left(jitgate: Jitgate, edge: Elsewhere) -> None:
    grant = ask(jitgate, edge, ALICE, 300)
    port = grant["connection"]["port"]
    with connect(ALICE, port) as session:
        edge.kill()
        assert is_cut(session)
        assert not reaches(ALICE, port)
    edge.start()
    until(lambda: reaches(ALICE, port), "the grant is not taken up again")
    assert not reaches(CAROL, port)
    close(jitgate, grant)


def test_a_state_older_than_what_was_carried_out_is_refused_also_after_a_restart(
    jitgate: Jitgate, edge: Elsewhere
) -> None:
    close(jitgate, ask(jitgate, edge, ALICE, 60))
    edge.kill()
    far_ahead = 1_000_000
    Generation(edge.directory / "gateway" / "edge").keep(far_ahead)
    edge.start()
    grant = ask(jitgate, edge, ALICE, 60)
    assert reaches(ALICE, grant["connection"]["port"])
    kept = int((edge.directory / "gateway" / "edge" / "generation").read_text())
    assert kept > far_ahead, "the server goes on from the gateway's generation"
    close(jitgate, grant)


def test_machines_come_and_go_while_it_runs_and_take_their_grants_along(jitgate: Jitgate, edge: Elsewhere) -> None:
    with connect(ALICE, ask(jitgate, edge, ALICE, 300)["connection"]["port"]) as session:
        assert edge.run("add", "nas", BEHIND).returncode == 0
        protect(jitgate, edge.target, "nas")
        grant = ask(jitgate, edge, ALICE, 300, "nas")
        assert reaches(ALICE, grant["connection"]["port"])
        assert edge.run("remove", "nas").returncode == 0
        until(lambda: jitgate.grant(grant["id"])["state"] == "closed", "the grant stays")
        assert jitgate.grant(grant["id"])["reason"] == "machineRemoved"
        assert jitgate.machine("nas") is None
        until(lambda: not reaches(ALICE, grant["connection"]["port"]), "the port stays open")
        assert echoes(session), "others' connections are not touched"
    assert edge.run("remove", "nas").returncode == 2


def test_a_machine_whose_name_is_anothers_is_not_taken_in(jitgate: Jitgate, edge: Elsewhere, tmp_path: Path) -> None:
    with Elsewhere(tmp_path / "second", edge.target, "second") as second:
        assert second.join(jitgate, machine="WIN-1").returncode == 0
        second.start()
        [refused] = until(lambda: host(jitgate, "second")["refused"], "it is not told")
        assert "another machine" in refused
        assert "not taken in" in jitgate.run("host", "ls").stderr
        assert jitgate.activity("hosts/machinesRefused")
        assert reaches(ALICE, ask(jitgate, edge, ALICE, 60)["connection"]["port"])
        assert jitgate.run("host", "remove", "second").returncode == 0
        assert jitgate.machine("win-1") is not None


def test_where_people_connect_to_changes_when_somebody_has_confirmed_it(jitgate: Jitgate, edge: Elsewhere) -> None:
    edge.kill()
    file = edge.directory / "gateways.json"
    told = json.loads(file.read_text())
    told[0]["address"] = "localhost"
    file.write_text(json.dumps(told))
    edge.start()
    until(lambda: host(jitgate, "edge")["reportedAddresses"] == ["localhost"], "it is not told")
    assert ask(jitgate, edge, ALICE, 300)["connection"]["address"] == "127.0.0.1"
    assert jitgate.run("host", "confirm", "edge").returncode == 0
    grant = ask(jitgate, edge, ALICE, 300)
    until(lambda: jitgate.grant(grant["id"])["connection"]["address"] == "localhost", "people are sent elsewhere")
    close(jitgate, grant)


def test_it_runs_where_there_is_nothing_of_linux_alone(jitgate: Jitgate, edge: Elsewhere) -> None:
    """As on macOS: without fdatasync, CLOCK_BOOTTIME, netlink, capabilities and Landlock."""
    edge.kill()
    edge.start(command=(sys.executable, "-P", "-c", ON_MACOS, "gateway"))
    grant = ask(jitgate, edge, ALICE, 300)
    assert reaches(ALICE, grant["connection"]["port"])
    close(jitgate, grant)
    edge.kill()
    edge.start()


def test_a_second_one_with_the_same_state_is_refused(edge: Elsewhere) -> None:
    until(lambda: running_pid(edge.directory) == edge.pid, "it does not run")
    refused = edge.run("run")
    assert refused.returncode == 2
    assert "runs already" in refused.stderr


def test_removing_a_gateway_takes_its_machines_and_their_grants_along(jitgate: Jitgate, edge: Elsewhere) -> None:
    grant = ask(jitgate, edge, ALICE, 300)
    assert jitgate.run("host", "remove", "edge").returncode == 0
    assert jitgate.machine("win-1") is None
    assert jitgate.grant(grant["id"])["reason"] == "machineRemoved"


def host(jitgate: Jitgate, name: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = jitgate.call("GET", "/api/v1/hosts")
    return next(each for each in listed if each["name"] == name)
