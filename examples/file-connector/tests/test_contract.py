"""The connector of the example keeps the contract."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from jitgate.clock import ManualClock
from jitgate.core.desired import Protocol
from jitgate.testing.contract import CloudContract, Stage, lethal
from jitgate_files import rules
from jitgate_files.connector import FilesConnector

PLACE = ("11111111-2222-4333-8444-555555555555", "jitgate")
OTHERS = "# by hand\nallow tcp 80 from 0.0.0.0/0\nallow tcp 8022 # jitgate-like, and yet not ours\n"


class FilesStage(Stage):
    machine = "web-1"
    is_open = True

    def __init__(self, directory: Path) -> None:
        self._directory, self._file = directory, directory / "web-1.rules"
        self._file.write_text(OTHERS, "utf-8")
        self.clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
        self.restart()

    def reaches(self, port: int, protocol: Protocol, source: str) -> bool:
        return rules.lets(self._file, protocol.lower(), port, source)

    def ours(self) -> object:
        return [line for line in self._lines() if rules.MARK in line and "yet not ours" not in line]

    def others(self) -> object:
        return [line for line in self._lines() if line not in self.ours()]  # type: ignore[operator]

    def wipe(self) -> None:
        self._file.write_text(OTHERS, "utf-8")

    def restart(self) -> None:
        self.connector = FilesConnector("files", self._directory, PLACE, self.clock)

    def die_at(self, moment: int) -> contextlib.AbstractContextManager[object]:
        return patch.object(rules, "write", lethal(moment, rules.write))

    def _lines(self) -> list[str]:
        return self._file.read_text("utf-8").splitlines()


class TestFiles(CloudContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[Stage]:
        with FilesStage(tmp_path) as made:
            yield made
