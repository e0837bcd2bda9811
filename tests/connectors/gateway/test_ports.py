"""Mapped ports: one for each protected port, the same for ever."""

import errno
import json
import socket
from pathlib import Path

import pytest
from tests.connectors.gateway.scene import ALICE, Scene

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.gateway.ports import FILE, MappedPorts
from jitgate.core.desired import PortKey, Protocol

KEYS = [PortKey(f"machine-{number}", 22, Protocol.TCP) for number in range(4)]


def always(_: int) -> bool:
    return True


def test_a_mapped_port_survives_a_restart(scene: Scene) -> None:
    before = scene.mapped
    scene.stop()
    scene.start()
    assert scene.mapped == before
    scene.open(ALICE)
    assert scene.is_let_in(ALICE)


def test_a_port_keeps_its_number_while_nothing_protects_it(tmp_path: Path) -> None:
    ports = MappedPorts(tmp_path, 40000, 40010)
    ports.give(KEYS[:2], [], always)
    assert ports.give(KEYS, [], always) == set(KEYS[2:])
    assert [ports.of(key) for key in KEYS] == [40000, 40001, 40002, 40003]
    assert [MappedPorts(tmp_path, 40000, 40010).of(key) for key in KEYS] == [40000, 40001, 40002, 40003]


def test_a_port_that_could_not_be_written_down_is_nobodys_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = MappedPorts(tmp_path, 40000, 40010)
    ports.give(KEYS[:1], [], always)
    with monkeypatch.context() as full:
        full.setattr("jitgate.trust.files.os.fsync", no_space)
        with pytest.raises(OSError, match="No space left"):
            ports.give(KEYS[:2], [], always)
    assert (ports.of(KEYS[1]), ports.of_machine(KEYS[1].machine)) == (None, {})
    assert ports.give(KEYS[:2], [], always) == {KEYS[1]}
    assert ports.of(KEYS[1]) == MappedPorts(tmp_path, 40000, 40010).of(KEYS[1]) == 40001


def no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_when_all_are_given_the_one_that_nobody_needs_goes(tmp_path: Path) -> None:
    ports = MappedPorts(tmp_path, 40000, 40001)
    ports.give(KEYS[:2], [], always)
    ports.give([KEYS[2]], [KEYS[0]], always)
    assert ports.of(KEYS[0]) == 40000
    assert ports.of(KEYS[1]) is None
    assert ports.of(KEYS[2]) == 40001
    ports.give([KEYS[0], KEYS[2], KEYS[3]], [], always)
    assert ports.of(KEYS[3]) is None


def test_a_port_that_another_program_has_is_not_given(scene: Scene) -> None:
    first = scene.place.ports[0]
    with socket.create_server(("127.0.0.1", first)):
        assert scene.mapped == first + 1


def test_a_port_that_another_program_took_later_is_refused_and_says_so(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", scene.mapped)):
        report = scene.open(ALICE)
        assert "cannot listen on port" in report.refused[scene._key(ALICE)]
        assert report.standing == {}
    assert set(scene.open(ALICE).standing) == {scene._key(ALICE)}


def test_a_damaged_file_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(["no"]))
    with pytest.raises(ConnectorError, match="damaged"):
        MappedPorts(tmp_path, 40000, 40010)
