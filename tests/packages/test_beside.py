"""What is installed beside the program: units, settings to begin with, completions, a manual page."""

import re
import subprocess
from pathlib import Path

import pytest
from handbook.program import commands, leaves
from tests.packages.environment import ROOT, Environment

UNITS = sorted(ROOT.glob("deploy/systemd/*.service"))
REQUESTS = {"TH", "SH", "SS", "PP", "TP", "B", "I", "BR", "RI", '\\"'}


@pytest.fixture(scope="module")
def share(bare: Environment) -> Path:
    return bare.bin.parent / "share"


def test_every_file_that_people_install_is_in_one_of_the_wheels(share: Path) -> None:
    units = {
        path.relative_to(ROOT / "deploy" / "systemd")
        for path in (ROOT / "deploy" / "systemd").rglob("*.*")
        if path.is_file()
    }
    installed = {
        path.relative_to(share / "jitgate" / "systemd")
        for path in (share / "jitgate" / "systemd").rglob("*.*")
        if path.is_file()
    }
    assert installed == units
    for name in ("jitgate.toml", "prometheus/jitgate.yaml", "grafana/jitgate.json"):
        assert (share / "jitgate" / name).read_bytes() == (ROOT / "deploy" / name).read_bytes()


def test_the_agent_alone_brings_its_own_units(slim: Environment) -> None:
    found = {path.name for path in (slim.bin.parent / "share").rglob("*") if path.is_file()}
    assert found == {"jitgate-agent.service", "jitgate-agent-boot.service", "jitgate-agent.conf"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_there_is(unit: Path) -> None:
    known = {tuple(words.split()): command for words, command in leaves(commands())}
    [line] = re.findall(r"^ExecStart=-?(.+(?:\\\n.*)*)$", unit.read_text("utf-8"), re.MULTILINE)
    first, *words = line.replace("\\\n", " ").split()
    assert first in ("jitgate", "jitgate-agent", "/usr/sbin/nft"), (
        "found on the path of systemd, wherever it is installed"
    )
    if first == "jitgate":
        command = next(known[tuple(words[:length])] for length in (2, 1) if tuple(words[:length]) in known)
        options = {name for each in command.params for name in each.opts}
        taken = [word for word in words if word.startswith("--")]
        assert command.ignore_unknown_options or set(taken) <= options


def test_bash_completes_commands_by_the_installed_script(bare: Environment, share: Path) -> None:
    script = share / "bash-completion" / "completions" / "jitgate"
    typed = 'source "$1"; COMP_WORDS=(jitgate pol); COMP_CWORD=1; _jitgate_completion jitgate; echo "${COMPREPLY[@]}"'
    path = f"{bare.bin}:/usr/bin:/bin"
    ran = subprocess.run(
        ["bash", "-euc", typed, "bash", str(script)], capture_output=True, text=True, check=True, env={"PATH": path}
    )
    assert ran.stdout.split() == ["policy"]


@pytest.mark.parametrize(
    ("shell", "file", "said"),
    [
        ("zsh", "zsh/site-functions/_jitgate", {"_TYPER_COMPLETE_ARGS": "jitgate pol"}),
        (
            "fish",
            "fish/vendor_completions.d/jitgate.fish",
            {"_TYPER_COMPLETE_ARGS": "jitgate pol", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
def test_other_shells_ask_as_their_script_does_and_are_answered(
    bare: Environment, share: Path, shell: str, file: str, said: dict[str, str]
) -> None:
    script = (share / file).read_text("utf-8")
    asked = {"_JITGATE_COMPLETE": f"complete_{shell}", **said}
    assert f"_JITGATE_COMPLETE=complete_{shell}" in script
    assert all(name in script for name in said)
    answer = bare.run("jitgate", **asked).stdout
    assert "policy" in answer
    assert "machine" not in answer


def test_the_manual_page_has_every_command_and_nothing_that_man_does_not_know(share: Path) -> None:
    page = (share / "man" / "man1" / "jitgate.1").read_text("utf-8")
    for words, _ in leaves(commands()):
        assert f'.SS "jitgate {words}"' in page
    assert {line.split()[0][1:] for line in page.splitlines() if line.startswith(".")} <= REQUESTS
    assert not [line for line in page.splitlines() if line.startswith("'")]
