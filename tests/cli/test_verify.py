"""`jitgate activity verify`: without a server, with nothing but the public key."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli, Ran, eventually

from jitgate.trust import signatures


@pytest.fixture
def file(cli: Cli, tmp_path: Path) -> Path:
    """The record of somebody who opened a port, with its heads."""
    cli("open", "web-1", "ssh", "-m", "INC-7")
    assert eventually(lambda: all(line["sequence"] for line in entries(cli)))
    made = tmp_path / "record.jsonl"
    made.write_text(cli("activity", "--sealed").out)
    return made


def entries(cli: Cli) -> list[dict[str, object]]:
    found: list[dict[str, object]] = cli("activity", "--limit", "500", "-o", "json").data
    return found


def check(cli: Cli, file: Path, *words: str) -> Ran:
    """Offline: nothing of a server is known but the key."""
    key = cli.server.directory / "record.pub"
    return cli("activity", "verify", str(file), "--key", str(key), *words, JITGATE_URL="", JITGATE_TOKEN="")


def test_an_export_is_found_sound_without_a_server(cli: Cli, file: Path) -> None:
    ran = check(cli, file)
    assert ran.code == 0, ran.err
    assert "Sound:" in ran.out
    told = check(cli, file, "-o", "json").data
    assert (told["sound"], told["faults"], told["leftOut"]) == (True, [], 0)
    assert told["events"] == sum('"operation"' in line for line in file.read_text().splitlines())


def test_a_changed_event_is_named_by_its_line(cli: Cli, file: Path) -> None:
    file.write_text(file.read_text().replace("INC-7", "INC-8", 1))
    ran = check(cli, file)
    assert ran.code == 1
    assert "are not those that were sealed: one was changed" in ran.out


def test_a_truncated_end_is_found_by_the_heads_that_were_kept(cli: Cli, file: Path, tmp_path: Path) -> None:
    heads = tmp_path / "heads.jsonl"
    heads.write_text(cli("activity", "heads").out)
    assert check(cli, file, "--heads", str(heads)).code in {0, 1}
    lines = file.read_text().splitlines(keepends=True)
    first = next(at for at, line in enumerate(lines) if line.startswith('{"head"'))
    cli("open", "web-1", "ssh", "-m", "INC-9")
    assert eventually(lambda: all(line["sequence"] for line in entries(cli)))
    heads.write_text(cli("activity", "heads").out)
    file.write_text("".join(lines[: first + 1]))
    assert check(cli, file).code == 0
    ran = check(cli, file, "--heads", str(heads))
    assert ran.code == 1
    assert "was kept elsewhere" in ran.out


def test_a_part_is_exported_with_its_proofs(cli: Cli, file: Path) -> None:
    file.write_text(cli("activity", "--sealed", "--operation", "Jitgate.Access/grants/open").out)
    assert check(cli, file, "--part").code == 0
    assert check(cli, file).code == 1
    file.write_text(file.read_text().replace("grants/open", "grants/shut"))
    assert check(cli, file, "--part").code == 1


def test_another_key_is_not_trusted(cli: Cli, file: Path, tmp_path: Path) -> None:
    (tmp_path / "other.pub").write_text(signatures.make().public)
    ran = cli("activity", "verify", str(file), "--key", str(tmp_path / "other.pub"))
    assert ran.code == 1
    assert "not signed by a key that you trust" in ran.out


def test_what_cannot_be_checked_is_said(cli: Cli, file: Path, tmp_path: Path) -> None:
    assert check(cli, tmp_path / "nothing").code == 3
    (tmp_path / "bad.pub").write_text("no key")
    assert cli("activity", "verify", str(file), "--key", str(tmp_path / "bad.pub")).code == 2
    assert cli("activity", "verify", str(file), "--key", str(tmp_path / "none.pub")).code == 3
    assert cli("activity", "verify", str(file)).code == 2
    bad = tmp_path / "heads"
    bad.write_text("{}")
    assert check(cli, file, "--heads", str(bad)).code == 2


def test_the_lines_of_an_export_are_those_that_are_sealed(cli: Cli, file: Path) -> None:
    plain = cli("activity", "--jsonl").out.splitlines()
    sealed = [line for line in file.read_text().splitlines() if not line.startswith('{"head"')]
    assert plain[: len(sealed)] == sealed
    assert json.loads(sealed[0])["sequence"] == 1
