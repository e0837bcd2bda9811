"""Files that hold secrets."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitgate.trust.files import create_private, write_private, write_public


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A umask that forbids nothing: the mode must not depend on it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_for_its_owner_alone_and_what_is_public_for_all(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"secret")
    assert create_private(tmp_path / "token", b"secret")
    os.umask(0o077)
    write_public(tmp_path / "certificate", b"public")
    assert (mode(tmp_path / "key"), mode(tmp_path / "token"), mode(tmp_path / "certificate")) == (0o600, 0o600, 0o644)


def test_a_file_that_was_open_to_all_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")
    path.chmod(0o666)
    with path.open("rb") as somebody:
        write_private(path, b"secret")
        assert somebody.read() == b"old"
    assert (path.read_bytes(), mode(path)) == (b"secret", 0o600)


def test_a_link_that_somebody_laid_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    (tmp_path / "key").symlink_to(target)
    write_private(tmp_path / "key", b"secret")
    assert target.read_bytes() == b"theirs"
    assert not (tmp_path / "key").is_symlink()


def test_creating_never_replaces(tmp_path: Path) -> None:
    assert create_private(tmp_path / "token", b"first")
    assert not create_private(tmp_path / "token", b"second")
    assert (tmp_path / "token").read_bytes() == b"first"


def test_nothing_is_left_beside_the_file_also_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(tmp_path / "key", b"secret")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "key", b"other")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("key", b"secret")]
