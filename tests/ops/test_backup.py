"""Yesterday's records, put back: nothing opens that has ended since, and the hosts are held as before."""

import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.netns import ALICE4, BOB4, HOST4, Network
from tests.postgresql import cluster, execute
from tests.processes import Jitgate, until

from jitgate.ops.backup import LAST, RECORDS

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as made, made.host.listen(22):
        yield made


def test_records_that_are_restored_open_nothing_that_has_ended_since(tmp_path: Path, network: Network) -> None:
    file = tmp_path / "monday.backup"
    with Jitgate(tmp_path / "data", {"web-1": network.host.name}) as jitgate:
        jitgate.enable("web-1")
        jitgate.open("web-1", ALICE4, seconds=3600)
        ended_early = jitgate.open("web-1", BOB4, seconds=3600)
        made = jitgate.run("backup", str(file))
        assert made.returncode == 0, made.stderr
        jitgate.call("POST", f"/api/v1/grants/{ended_early['id']}/close?wait=60")
        assert not network.bob.can_connect(HOST4, 22)
        refused = jitgate.run("restore", str(file))
        assert (refused.returncode, "Stop it" in refused.stderr) == (2, True)
    restored = jitgate.run("restore", str(file))
    assert restored.returncode == 0, restored.stderr
    assert "2 grants that it held open will be shut" in restored.stdout
    with jitgate:
        until(lambda: jitgate.grant(ended_early["id"])["state"] == "closed", "it stays open on record")
        assert jitgate.grant(ended_early["id"])["reason"] == "revoked"
        until(lambda: not network.alice.can_connect(HOST4, 22), "what was open at the backup is not shut")
        assert not network.bob.can_connect(HOST4, 22)
        assert jitgate.activity("records/restored")[0]["properties"]["ended"] == 2
        # The host's own generation is ahead of the records: it is held all the same.
        jitgate.open("web-1", BOB4, seconds=3600)
        assert network.bob.can_connect(HOST4, 22)


def test_a_postgresql_that_is_put_back_opens_nothing_that_has_ended_since(tmp_path: Path, network: Network) -> None:
    databases = cluster()
    environment = {"JITGATE_DATABASE": databases.url(databases.create())}
    jitgate = Jitgate(tmp_path / "data", {"web-1": network.host.name}, environment)
    with jitgate:
        jitgate.enable("web-1")
        ended_early = jitgate.open("web-1", BOB4, seconds=3600)
        there = jitgate.run("db", "restored")
        assert (there.returncode, "Stop it" in there.stderr) == (2, True), there.stderr
    name = urlsplit(environment["JITGATE_DATABASE"]).path.removeprefix("/")
    yesterday = databases.create(name)
    with jitgate:
        jitgate.call("POST", f"/api/v1/grants/{ended_early['id']}/close?wait=60")
        assert not network.bob.can_connect(HOST4, 22)
    put_back = Jitgate(tmp_path / "data", {}, {"JITGATE_DATABASE": databases.url(yesterday)})
    restored = put_back.run("db", "restored")
    assert restored.returncode == 0, restored.stderr
    assert "1 grants that the database held open will be shut" in restored.stdout
    with put_back:
        until(lambda: put_back.grant(ended_early["id"])["state"] == "closed", "it stays open on record")
        assert not network.bob.can_connect(HOST4, 22)
        [told] = put_back.activity("records/restored")
        assert told["properties"]["ended"] == 1
    assert put_back.run("db", "restored").returncode == 0, "who has left works on it no more"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Path:
    """What an installation has left that was started once."""
    directory = tmp_path_factory.mktemp("once") / "data"
    with Jitgate(directory, {"web-1": network.host.name}) as jitgate:
        until(lambda: jitgate.machine("web-1"), "web-1 is not listed")
        until(lambda: jitgate.activity("machines/found")[0]["sequence"], "nothing is sealed")
    return directory


@pytest.fixture
def stopped(tmp_path: Path, ended: Path) -> Jitgate:
    """A copy of it."""
    shutil.copytree(ended, tmp_path / "data")
    return Jitgate(tmp_path / "data", {})


def test_a_backup_is_for_its_owner_alone_and_writes_over_none(stopped: Jitgate, tmp_path: Path) -> None:
    file = tmp_path / "one.backup"
    assert stopped.run("backup", str(file)).returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert (stopped.directory / LAST).exists()
    before = file.read_bytes()
    again = stopped.run("backup", str(file))
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    assert file.read_bytes() == before
    assert not list(tmp_path.glob(".jitgate-*")), "nothing is left beside it"


def test_a_backup_makes_the_same_installation_on_another_machine(stopped: Jitgate, tmp_path: Path) -> None:
    assert stopped.run("backup", str(tmp_path / "one.backup")).returncode == 0
    other = Jitgate(tmp_path / "other", {})
    restored = other.run("restore", str(tmp_path / "one.backup"))
    assert restored.returncode == 0, restored.stderr
    for name in ("record.key", "link-root.key", "jitgate.toml", "owner.token"):
        assert (other.directory / name).read_bytes() == (stopped.directory / name).read_bytes()
        assert (other.directory / name).stat().st_mode & 0o777 == 0o600


def test_what_is_here_is_set_aside_and_keys_that_differ_stay(stopped: Jitgate, tmp_path: Path) -> None:
    assert stopped.run("backup", str(tmp_path / "one.backup")).returncode == 0
    (stopped.directory / "signing.key").write_bytes(b"newer")
    restored = stopped.run("restore", str(tmp_path / "one.backup"))
    assert restored.returncode == 0, restored.stderr
    assert "signing.key is not as in the backup" in restored.stdout
    assert (stopped.directory / "signing.key").read_bytes() == b"newer"
    [aside] = [path for path in stopped.directory.glob(f"{RECORDS}.before-*") if path.suffix.endswith("Z")]
    with closing(sqlite3.connect(aside)) as former:
        assert former.execute("SELECT count(*) FROM principal").fetchone()[0]


def _with(file: Path, *names: str, link: bool = False) -> Path:
    with tarfile.open(file, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = tarfile.SYMTYPE if link else tarfile.REGTYPE
            member.linkname = "/etc/passwd"
            archive.addfile(member)
    return file


def test_what_is_no_backup_is_refused_and_changes_nothing(stopped: Jitgate, tmp_path: Path) -> None:
    before = (stopped.directory / RECORDS).read_bytes()
    (tmp_path / "text").write_text("no archive")
    for file in (
        tmp_path / "text",
        tmp_path / "nowhere",
        _with(tmp_path / "outside", RECORDS, "../escaped"),
        _with(tmp_path / "without-records", "jitgate.toml"),
        _with(tmp_path / "a-link", RECORDS, link=True),
        _with(tmp_path / "twice", RECORDS, "record.key", "record.key"),
    ):
        refused = stopped.run("restore", str(file))
        assert (refused.returncode, "Allowed: a file that" in refused.stderr) == (2, True), (file, refused.stderr)
    assert (stopped.directory / RECORDS).read_bytes() == before
    assert not (tmp_path / "escaped").exists()


def test_a_record_that_was_changed_is_not_taken_back(stopped: Jitgate, tmp_path: Path) -> None:
    with closing(sqlite3.connect(stopped.directory / RECORDS)) as records:
        for (trigger,) in records.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            records.execute(f"DROP TRIGGER {trigger}")
        records.execute("UPDATE activity SET caller = 'somebody else' WHERE sequence = 1")
        records.commit()
    assert stopped.run("backup", str(tmp_path / "one.backup")).returncode == 0
    refused = stopped.run("restore", str(tmp_path / "one.backup"))
    assert (refused.returncode, "not what was sealed" in refused.stderr) == (2, True)


def test_records_in_postgresql_are_for_its_own_tools(stopped: Jitgate, tmp_path: Path) -> None:
    with (stopped.directory / "jitgate.toml").open("a") as settings:
        settings.write('\n[store]\nurl = "postgresql://jitgate@127.0.0.1:1/jitgate"\n')
    refused = stopped.run("backup", str(tmp_path / "one.backup"))
    assert (refused.returncode, "pg_dump" in refused.stderr) == (2, True), refused.stderr


def test_nobody_puts_back_a_database_that_a_replica_elsewhere_works_on(stopped: Jitgate) -> None:
    databases = cluster()
    url = databases.url(databases.create(databases.migrated()))
    now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    execute(url, f"INSERT INTO replica (name, version, knows, part, heard_at) VALUES ('b', '1', '0001', 'all', {now})")
    refused = Jitgate(stopped.directory, {}, {"JITGATE_DATABASE": url}).run("db", "restored")
    assert (refused.returncode, "1 replicas work on this database" in refused.stderr) == (2, True), refused.stderr
