"""Kinds of connectors that other packages bring: the example is installed and used as its how-to says."""

import os
import re
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from tests.processes import Jitgate, until

from jitgate.clock import SystemClock
from jitgate.connectors import kinds
from jitgate.connectors.base import ConnectorError
from jitgate.core.errors import Invalid
from jitgate.main.cloud_kinds import kinds as known_kinds
from jitgate.store.connectors import Connector

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "file-connector"
PAGE = ROOT / "docs" / "how-to" / "add-a-connector.md"
OTHERS = "# by hand\nallow tcp 80 from 0.0.0.0/0\n"
ROW = Connector(
    "mine", "tests", "11111111-2222-4333-8444-555555555555", "jitgate", {}, 1, datetime(2030, 1, 1, tzinfo=UTC)
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example was installed, from a wheel."""
    target = tmp_path_factory.mktemp("installed")
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--offline", "--no-deps"]
    command = [*uv, "--no-build-isolation", "--python", sys.executable, "--target", str(target), str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True, cwd=target)
    return target


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What of this module was loaded as a kind, by name."""
    names: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "__getattr__", lambda name: _load(names, name), raising=False)
    return names


def test_the_example_keeps_the_contract(installed: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests")]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    assert ran.returncode == 0, ran.stdout
    assert "passed" in ran.stdout


def test_an_installed_connector_is_added_protects_opens_and_lets_go(installed: Path, tmp_path: Path) -> None:
    firewall = tmp_path / "data" / "edge"
    firewall.mkdir(parents=True)
    file = firewall / "web-1.rules"
    file.write_text(OTHERS, "utf-8")
    with Jitgate(tmp_path / "data", {}, {"PYTHONPATH": str(installed)}) as jitgate:
        for command in _typed(firewall):
            ran = jitgate.run(*command)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            until(lambda: jitgate.machine("web-1"), "web-1 is not found")
        held = until(
            lambda: file.read_text("utf-8") if "until" in file.read_text("utf-8") else None, "it is not opened"
        )
        assert re.search(r"^allow tcp 22 from 203\.0\.113\.7/32 # jitgate until ", held)
        assert "\ndeny tcp 22 # jitgate\n" in held
        assert held.endswith(OTHERS)
        assert jitgate.run("connector", "remove", "edge").returncode == 0
        until(lambda: file.read_text("utf-8") == OTHERS, "the firewall is not let go of")


def test_the_page_shows_the_example_word_for_word() -> None:
    shown = re.findall(r"^```(?:python|text)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    sources = [path.read_text("utf-8") for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml"}]
    assert len(shown) >= 4
    for block in shown:
        lines = "\n".join(line for line in block.splitlines())
        assert any(lines in source or textwrap.indent(lines, "    ") in source for source in sources), block


def test_a_kind_is_loaded_when_a_connector_of_it_is_begun_and_not_before(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, "tests = tests.kinds.test_brought:GOOD")
    kind = known_kinds(SystemClock())["tests"]
    assert kind.check({"place": "here", "tries": 3}) == {"place": "here", "tries": 3}
    assert not loaded
    assert kind.make(ROW) is CONNECTOR
    assert loaded == ["GOOD"]


@pytest.mark.parametrize("given", [{"a": ["list"]}, {"a": "x" * 401}, {"a": None}])
def test_settings_that_only_a_package_understands_are_plain_and_short(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"settings\.a"):
        kinds.check_form(given)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("tests = tests.kinds.test_brought:BROKEN", "could not be begun: ZeroDivisionError"),
        ("tests = tests.kinds.test_brought:ROW", "is no jitgate.connectors.kinds.Kind"),
        ("tests = tests.kinds.test_brought:STRICT", "settings.place"),
        ("tests = nowhere.to.be.found:KIND", "could not be begun: ModuleNotFoundError"),
        ("tests = tests.kinds.test_brought:GOOD\ntests = tests.kinds.other:GOOD", "both bring"),
    ],
)
def test_a_package_that_does_not_work_is_an_error_of_its_connector_alone(
    loaded: list[str], monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    bring(monkeypatch, said)
    kind = known_kinds(SystemClock())["tests"]
    with pytest.raises(ConnectorError, match=why):
        kind.make(ROW)


def test_no_package_takes_the_place_of_ours_or_a_name_that_nobody_can_type(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = set(known_kinds(SystemClock()))
    bring(monkeypatch, "azure = tests.kinds.test_brought:GOOD\nOdd Name = tests.kinds.test_brought:GOOD")
    found = known_kinds(SystemClock())
    assert set(found) == ours
    assert found["azure"].check is not kinds.check_form


CONNECTOR: Any = object()


def bring(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Have packages installed that bring these."""
    lines = [line.split(" = ") for line in said.splitlines()]
    entries = EntryPoints(EntryPoint(name, target, kinds.GROUP) for name, target in lines)
    monkeypatch.setattr(kinds, "entry_points", lambda *, group: entries.select(group=group))


def _load(names: list[str], name: str) -> kinds.Kind:
    if name not in ("GOOD", "BROKEN", "STRICT"):
        raise AttributeError(name)
    names.append(name)
    return {
        "GOOD": kinds.Kind(kinds.check_form, lambda _account, _clock: CONNECTOR),
        "BROKEN": kinds.Kind(kinds.check_form, lambda _account, _clock: 1 // 0),  # type: ignore[arg-type,return-value]
        "STRICT": kinds.Kind(_refuse, lambda _account, _clock: CONNECTOR),
    }[name]


def _refuse(_given: object) -> Any:
    raise Invalid("settings.place", "it is missing", allowed="a place")


def _typed(firewall: Path) -> list[list[str]]:
    """The commands of the page, less their first word."""
    [block] = re.findall(r"^```sh\n(jitgate connector add.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line.replace("/var/lib/jitgate/edge", str(firewall)).split()[1:] for line in block.splitlines()]
