"""What was done at the host itself, told to the server until it says that it has it on record."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from jitgate.connectors.hosts import releases
from jitgate.connectors.hosts.messages import Happened, Kind
from jitgate.connectors.hosts.releases import Release
from jitgate.connectors.hosts.roster import Host
from jitgate.trust.files import write_private

SETTLED = "releases.settled"
"""Holds how many lines of the record of releases the server has."""


class Records:
    """The record of releases, line by line. A line is named by the host's UUID and its number."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host = host
        self._directory = directory

    def untold(self) -> Iterator[Happened]:
        """Every entry that is not settled, oldest first. Raises OSError."""
        lines = self._lines()
        for number in range(self._settled(), len(lines)):
            entry = _entry(lines[number])
            if entry is not None:
                yield self._happened(entry, number)

    def settle(self, record: str) -> None:
        """The server has this one, and those before it. Does nothing for another host's. Raises OSError."""
        uuid, _, number = record.rpartition(":")
        if uuid == self._host.uuid and number.isdigit() and int(number) >= self._settled():
            write_private(self._directory / SETTLED, str(int(number) + 1).encode())

    def _happened(self, entry: Release, number: int) -> Happened:
        return Happened(
            kind=Kind.RELEASED if entry.released else Kind.PROTECTED,
            scope=self._host.scope,
            detail=str(entry) if entry.released else f"{entry.by} protected this host again at {entry.at}",
            at=datetime.fromisoformat(entry.at),
            by=entry.by,
            why=entry.why,
            record=f"{self._host.uuid}:{number}",
        )

    def _lines(self) -> list[str]:
        try:
            return (self._directory / releases.FILE).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _settled(self) -> int:
        try:
            return int((self._directory / SETTLED).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return 0


def _entry(line: str) -> Release | None:
    try:
        entry = Release(**json.loads(line))
        datetime.fromisoformat(entry.at)
    except (ValueError, TypeError):
        # Half a line, from a disk that was full. What it meant is lost, and the next ones are not.
        return None
    return entry
