"""What the bench says of other programs, with and without them. No figure is tested."""

import shutil

import pytest
from bench import remote
from bench.others import Firewalld, Fwknop

SAMPLES = {"remote": [5.0], "insert": [3.0], "nft": [1.0]}


def test_a_program_that_is_not_installed_is_named_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "fwknopd" else f"/usr/bin/{program}")
    assert Firewalld.missing() == ""
    last = list(remote.rows({**SAMPLES, Firewalld.ASKED: [250.0]}))[-1]
    assert (last.what, last.measured, last.against) == ("the same through fwknop", "not installed", "fwknopd")
    assert last.skipped


def test_a_program_that_is_installed_has_a_ratio_in_the_same_run() -> None:
    others = {Firewalld.ASKED: [250.0], Fwknop.ASKED: [10.0]}
    found = {row.against: row.value for row in remote.rows({**SAMPLES, **others})}
    assert found["fwknop 10 ms"] == 0.5
    assert found["firewall-cmd --timeout 250 ms"] == 0.02
