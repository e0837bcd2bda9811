"""Not locking out who is connected, and giving a host back to its administrator."""

import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.connectors.hosts.scene import KEEP, PORT, Scene, both, key, port_key
from tests.netns import ALICE4, ALICE6, HOST4, HOST6, echoes

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import releases
from jitgate.core.desired import Protection, SessionEnd

pytestmark = pytest.mark.needs_root

Eventually = Callable[[Callable[[], bool]], bool]
FORCED = Protection(SessionEnd.KEEP, force=True)


@pytest.fixture
def unprotected(idle: Scene) -> Scene:
    """A scene whose enforcer protects nothing yet."""
    idle.ports = {}
    idle.start()
    idle.ask(complete=True)
    idle.ports = {port_key(): KEEP}
    return idle


@pytest.mark.parametrize(("client", "host"), [(ALICE4, HOST4), (ALICE6, HOST6)])
def test_a_port_is_not_protected_while_somebody_whom_nothing_covers_is_connected(
    unprotected: Scene, client: str, host: str
) -> None:
    alice = unprotected.network.alice
    with alice.connect(host, PORT) as session:
        reason = unprotected.ask(complete=True).protected[port_key()]
        assert f"{client} is connected to tcp/{PORT}" in reason
        assert "force" in reason
        assert echoes(session)
        assert alice.can_connect(host, PORT)


def test_it_is_protected_as_soon_as_they_are_gone(unprotected: Scene, eventually: Eventually) -> None:
    with unprotected.network.alice.connect(HOST4, PORT):
        assert unprotected.ask(complete=True).protected[port_key()]
    assert eventually(lambda: unprotected.ask().protected == {port_key(): ""})
    assert not unprotected.network.alice.can_connect(HOST4, PORT)


def test_it_is_protected_when_forced_and_they_are_cut_off(unprotected: Scene) -> None:
    unprotected.ports = {port_key(): FORCED}
    with unprotected.network.alice.connect(HOST4, PORT) as session:
        assert unprotected.ask(complete=True).protected == {port_key(): ""}
        assert not echoes(session, timeout=2)


def test_it_is_protected_when_the_same_state_opens_it_for_them(unprotected: Scene) -> None:
    with unprotected.network.alice.connect(HOST4, PORT) as session:
        end = unprotected.clock.wall().replace(year=2100)
        assert unprotected.ask({key("10.71.1.0/24"): end}, complete=True).protected == {port_key(): ""}
        assert echoes(session)


def test_it_is_protected_when_they_are_always_allowed(idle: Scene) -> None:
    idle.always = (key("10.71.1.0/24").prefix,)
    idle.ports = {}
    idle.start()
    idle.ask(complete=True)
    with idle.network.alice.connect(HOST4, PORT) as session:
        idle.ports = {port_key(): KEEP}
        assert idle.ask(complete=True).protected == {port_key(): ""}
        assert echoes(session)


def test_connections_of_the_host_to_itself_do_not_count(unprotected: Scene) -> None:
    host = unprotected.network.host
    with host.connect("127.0.0.1", PORT), host.connect(HOST4, PORT, source="10.71.1.1"), host.connect(HOST6, PORT):
        assert unprotected.ask(complete=True).protected == {port_key(): ""}


def test_a_port_that_is_protected_already_stays_so_whoever_is_connected(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32")
    with scene.network.alice.connect(HOST4, PORT):
        scene.shut(f"{ALICE4}/32")
        scene.restart()
        assert scene.ask(complete=True).protected[port_key()] == ""
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_a_port_that_the_boot_table_shuts_stays_shut_whoever_was_connected(scene: Scene) -> None:
    """A session that outlives its grant, the agent dead, and the table flushed: its successor must not let go."""
    scene.open(f"{ALICE4}/32")
    with scene.network.alice.connect(HOST4, PORT):
        scene.shut(f"{ALICE4}/32")
        scene.close()
        scene.network.host.nft("delete table inet jitgate")
        scene.network.host.run("nft", "-f", str(scene.state_dir / "boot.nft"))
        scene.start()
        assert scene.ask(complete=True).protected[port_key()] == ""
    assert not scene.network.alice.can_connect(HOST4, PORT)


def test_a_full_disk_keeps_the_port_shut_and_the_boot_ruleset_is_written_later(
    idle: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle.start()
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", raise_disk_full)
        with pytest.raises(ConnectorError, match="No space left on device"):
            idle.ask(complete=True)
    assert not idle.network.alice.can_connect(HOST4, PORT)
    assert not (idle.state_dir / "boot.nft").exists()
    idle.ask()
    assert f"tcp . {PORT}" in (idle.state_dir / "boot.nft").read_text()


def raise_disk_full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_release_opens_everything_and_is_on_record(scene: Scene) -> None:
    report = scene.enforcer.release("root", "locked out")
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert scene.tables() == ""
    assert all("root released this host" in reason for reason in report.protected.values())
    assert len(report.protected) == 2
    (line,) = (scene.state_dir / releases.FILE).read_text().splitlines()
    entry = json.loads(line)
    assert (entry["released"], entry["by"], entry["why"]) == (True, "root", "locked out")
    scene.network.host.run("nft", "-f", str(scene.state_dir / "boot.nft"))
    assert scene.network.alice.can_connect(HOST4, PORT), "it would be shut again after a reboot"


def test_a_released_host_is_not_protected_again_by_a_sync_or_a_restart(scene: Scene) -> None:
    scene.enforcer.release("root", "")
    scene.restart()
    end = scene.clock.wall().replace(year=2100)
    report = scene.ask({key(f"{ALICE4}/32"): end}, complete=True)
    assert "root released this host" in report.protected[port_key()]
    assert report.standing == {key(f"{ALICE4}/32"): end}
    assert scene.network.bob.can_connect(HOST4, PORT)
    assert scene.tables() == ""


def test_protecting_again_restores_ports_and_grants(scene: Scene) -> None:
    scene.open(f"{ALICE4}/32")
    scene.enforcer.release("root", "")
    scene.open(f"{ALICE6}/128")
    report = scene.enforcer.protect_again("root", "fixed")
    assert report.protected == dict.fromkeys(both(KEEP), "")
    assert scene.network.alice.can_connect(HOST4, PORT)
    assert scene.network.alice.can_connect(HOST6, PORT)
    assert not scene.network.bob.can_connect(HOST4, PORT)
    assert releases.standing(scene.state_dir) is None


def test_half_a_line_in_the_record_of_releases_changes_nothing(tmp_path: Path) -> None:
    """From a disk that was full, or a kill in the middle of writing."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert releases.standing(tmp_path) is None
    made = releases.record(tmp_path, released=True, by="root", why="", at=now)
    with (tmp_path / releases.FILE).open("a") as file:
        file.write('{"released": fal')
    assert releases.standing(tmp_path) == made
    releases.record(tmp_path, released=False, by="root", why="", at=now)
    assert releases.standing(tmp_path) is None
