"""A process that is confined to the data directory writes there, and nowhere else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jitgate.ops import confinement

CONFINE_AND = """
import os, pathlib, sys
from jitgate.ops.confinement import confine
from jitgate.ops.privileges import drop_all
inside, outside = map(pathlib.Path, sys.argv[1:3])
drop_all()
assert confine([inside])
"""


@pytest.fixture(autouse=True)
def _landlock() -> None:
    if confinement._system_call(444, None, 0, 1) < 1:
        pytest.xfail("this kernel has no Landlock")


def run(code: str, tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for each in (inside, outside):
        each.mkdir()
        (each / "old").write_text("old")
    command = [sys.executable, "-c", CONFINE_AND + code, str(inside), str(outside), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_inside_it_makes_changes_and_removes_files(tmp_path: Path) -> None:
    done = run(
        "(inside / 'new').write_text('x'); os.replace(inside / 'new', inside / 'old'); (inside / 'old').unlink()"
        "; pathlib.Path('/dev/null').write_text('x')",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("link", ["(inside / 'new').symlink_to(outside)", "os.mkfifo(inside / 'new')"])
def test_inside_it_makes_nothing_that_leads_others_elsewhere(tmp_path: Path, link: str) -> None:
    refused = run(link, tmp_path)
    assert "PermissionError" in refused.stderr
    assert not (tmp_path / "inside" / "new").is_symlink()


@pytest.mark.parametrize(
    "change",
    [
        "(outside / 'new').write_text('x')",
        "(outside / 'old').write_text('x')",
        "(outside / 'old').unlink()",
        "(outside / 'new').mkdir()",
        "(outside / 'new').symlink_to('old')",
        "os.replace(inside / 'old', outside / 'old')",
        "os.truncate(outside / 'old', 0)",
    ],
)
def test_outside_it_changes_nothing(tmp_path: Path, change: str) -> None:
    refused = run(change, tmp_path)
    assert "PermissionError" in refused.stderr or "OSError" in refused.stderr, refused.stderr
    assert [each.name for each in (tmp_path / "outside").iterdir()] == ["old"]
    assert (tmp_path / "outside" / "old").read_text() == "old"


def test_outside_it_still_reads(tmp_path: Path) -> None:
    assert run("sys.exit((outside / 'old').read_text() != 'old')", tmp_path).returncode == 0


def test_it_can_end_no_process_outside(tmp_path: Path) -> None:
    if confinement._system_call(444, None, 0, 1) < 6:
        pytest.xfail("this kernel's Landlock does not know of signals")
    with subprocess.Popen(["sleep", "30"]) as victim:
        refused = run("os.kill(int(sys.argv[3]), 9)", tmp_path, str(victim.pid))
        assert "PermissionError" in refused.stderr
        assert victim.poll() is None
        os.kill(victim.pid, signal.SIGKILL)
