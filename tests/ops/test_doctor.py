"""`jitgate doctor`: each thing that can be wrong is found, and whoever reads it is told what to do."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.rotation.authorities import Issuer
from tests.server import Server
from typer.testing import CliRunner

from jitgate.clock import SystemClock
from jitgate.main.command import add_all
from jitgate.ops.backup import LAST
from jitgate.ops.doctor import here, server
from jitgate.ops.doctor.command import exit_code
from jitgate.ops.doctor.finding import Finding, State, fine, mend, unseen
from jitgate.service import connectors
from jitgate.trust import certificates

DAY = timedelta(days=1)
NOW = datetime(2030, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("installation")
    with Server(directory) as made:
        (directory / "server.json").write_text(json.dumps({"url": made.base_url}))
        (directory / "jitgate.toml").write_text("")
        yield made


@pytest.fixture
def apart(running: Server, tmp_path: Path) -> Path:
    """The records of a copy, which a test may spoil."""
    copy = tmp_path / "jitgate.db"
    with closing(sqlite3.connect(running.directory / "jitgate.db")) as one, closing(sqlite3.connect(copy)) as other:
        one.backup(other)
    return copy


def told(directory: Path) -> tuple[int, dict[str, dict[str, str]]]:
    app = typer.Typer()
    add_all(app)
    made = CliRunner().invoke(app, ["doctor", "--data-dir", str(directory), "--json"])
    # The server runs in this process, and writes its log to the same place.
    report = made.stdout[made.stdout.index("[\n") :]
    return made.exit_code, {each["check"]: each for each in json.loads(report)}


def database(file: Path) -> list[Finding]:
    return list(here.database(f"sqlite:///{file}", SystemClock()))


def test_an_installation_that_is_well_is_found_fine_but_for_what_was_never_done(running: Server) -> None:
    code, found = told(running.directory)
    found.pop("synchronisation")  # this machine's own
    assert {check for check, each in found.items() if each["state"] != "fine"} == {"backup"}
    assert {"database", "clock", "ca.pem", "server.pem", "server", "rules", "agents"} < set(found)
    assert (code, "jitgate backup" in found["backup"]["do"]) == (1, True)


def test_a_server_that_does_not_answer_hides_nothing_else(running: Server, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    shutil.copytree(running.directory, directory)
    (directory / "server.json").write_text('{"url": "https://127.0.0.1:1"}')
    _, found = told(directory)
    assert (found["server"]["state"], found["database"]["state"]) == ("unseen", "fine")
    assert "jitgate serve" in found["server"]["do"]


def test_a_directory_of_nobody_cannot_be_looked_at(tmp_path: Path) -> None:
    app = typer.Typer()
    add_all(app)
    assert CliRunner().invoke(app, ["doctor", "--data-dir", str(tmp_path)]).exit_code == 2


def test_a_database_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    [found] = database(tmp_path / "jitgate.db")
    assert (found.state, "no database" in found.what) == (State.MEND, True)
    assert not (tmp_path / "jitgate.db").exists()


def test_tables_that_somebody_has_changed_are_told(apart: Path) -> None:
    with closing(sqlite3.connect(apart)) as connection:
        connection.execute("DROP TRIGGER activity_is_never_deleted")
    found = database(apart)[0]
    assert (found.state, "activity_is_never_deleted" in found.what) == (State.MEND, True)


def test_tables_of_a_newer_jitgate_are_told(apart: Path) -> None:
    with closing(sqlite3.connect(apart)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('needs', '9999')")
    found = database(apart)[0]
    assert found.state is State.MEND


def test_a_clock_that_was_set_back_or_differs_is_told() -> None:
    assert here.times(NOW, NOW, NOW).state is State.FINE
    assert "set back" in here.times(NOW, NOW, NOW + DAY).what
    assert "behind the database's" in here.times(NOW, NOW + DAY, NOW).what
    assert "ahead of the database's" in here.times(NOW + DAY, NOW, NOW).what


@pytest.mark.parametrize(("said", "state"), [(0, State.FINE), (5, State.MEND), (-1, State.UNSEEN)])
def test_a_clock_that_nothing_keeps_right_is_told(said: int, state: State) -> None:
    assert here.synchronisation(said).state is state
    assert here.synchronisation().check == "synchronisation"


def test_certificates_are_told_before_they_end(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, ["localhost"], NOW)

    def states(day: int) -> tuple[State, State]:
        when = NOW + day * DAY
        return here.certificate(tmp_path, "ca.pem", when).state, here.certificate(tmp_path, "server.pem", when).state

    assert states(0) == states(60) == (State.FINE, State.FINE)
    assert states(63) == (State.FINE, State.MEND)
    assert states(3500) == (State.MEND, State.MEND)
    assert here.certificate(tmp_path / "none", "ca.pem", NOW).state is State.UNSEEN


def test_an_own_certificate_that_nobody_has_renewed_is_told(tmp_path: Path) -> None:
    certificate, _ = Issuer("An Authority").issue(tmp_path)
    now = datetime.now(UTC)
    assert here.own_certificate(certificate, now).state is State.FINE
    late = here.own_certificate(certificate, now + 75 * DAY)
    assert (late.state, "certbot" in late.do) == (State.MEND, True)
    assert here.own_certificate(tmp_path / "none", now).state is State.MEND


def test_a_backup_that_is_old_or_missing_is_told(tmp_path: Path) -> None:
    def state(url: str = "sqlite:///x") -> State:
        return here.backup(tmp_path, url, NOW, 2 * DAY).state

    assert (state(), state("postgresql://x")) == (State.MEND, State.MEND)
    for text, expected in [
        ((NOW - DAY).isoformat(), State.FINE),
        ((NOW - 3 * DAY).isoformat(), State.MEND),
        ("x", State.UNSEEN),
    ]:
        (tmp_path / LAST).write_text(text)
        assert (state(), state("postgresql://x")) == (expected, expected)


def test_what_a_connector_lacked_at_its_last_test_is_told(running: Server) -> None:
    with running.client() as client:
        body = {"kind": "memory", "subscription": "33333333-3333-3333-3333-333333333333", "settings": {}}
        made = client.put("/api/v1/connectors/cloud", json=body)
        assert made.status_code == 200, made.text

    def found() -> dict[str, str]:
        return told(running.directory)[1]["connector cloud"]

    assert (found()["state"], "never tested" in found()["what"]) == ("mend", True)
    for missing, state in [(("rules/write",), "mend"), ((), "fine")]:
        running.call(connectors.note_test(running.service, "cloud", missing, ""))
        assert found()["state"] == state
        assert all(each in found()["what"] for each in missing)
    running.call(connectors.note_failure(running.service, "cloud", "it is down"))
    assert (found()["state"], found()["what"]) == ("mend", "it is down")


def test_rules_that_outrank_ours_are_told_by_machine(running: Server) -> None:
    with running.client() as client:
        machines: list[dict[str, Any]] = client.get("/api/v1/machines").json()["items"]
    assert [each.state for each in server.outranking(machines)] == [State.FINE]
    machines[0]["outranked"] = ["allow-all"]
    [found] = server.outranking(machines)
    assert (found.state, "allow-all" in found.what, machines[0]["name"] in found.do) == (State.MEND, True, True)


def test_agents_that_are_silent_are_told_once(running: Server) -> None:
    with running.client() as client:
        machines: list[dict[str, Any]] = client.get("/api/v1/machines").json()["items"]
    assert [each.state for each in server.silent(machines, [])] == [State.FINE]
    machines[0]["verified"] = False
    host = {"name": machines[0]["name"], "state": "joined", "verified": False}
    waiting = {"name": "new", "state": "waiting", "verified": False}
    [found] = server.silent(machines, [host, waiting])
    assert (found.check, found.state) == (f"agent of {machines[0]['name']}", State.MEND)


def test_the_exit_code_tells_what_has_to_be_done() -> None:
    well, ill, dark = fine("a", ""), mend("b", "", "do"), unseen("c", "", "do")
    assert [exit_code(each) for each in ([well], [well, ill], [well, dark], [ill, dark])] == [0, 1, 2, 1]
