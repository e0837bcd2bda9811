"""The record of when a host was released from protection and taken back, by whom, and why.

It has one JSON object a line, oldest first. The last line tells what holds.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from jitgate.failpoints import failpoint

FILE = "releases.jsonl"


@dataclass(frozen=True, slots=True)
class Release:
    """`released`: whether the host was opened, or protected again. `at` is ISO 8601, UTC."""

    released: bool
    at: str
    by: str
    why: str

    def __str__(self) -> str:
        return f"{self.by} released this host at {self.at}: {self.why or 'no reason given'}"


def standing(directory: Path) -> Release | None:
    """The release that holds, if one does. Half a line, from a disk that was full, counts for nothing."""
    try:
        lines = (directory / FILE).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    last = next(filter(None, map(_entry, reversed(lines))), None)
    return last if last is not None and last.released else None


def record(directory: Path, *, released: bool, by: str, why: str, at: datetime) -> Release:
    """Write down that a host was released, or protected again. It is on disk when this returns."""
    entry = Release(released, at.isoformat(timespec="milliseconds"), by[:200], why[:1000])
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(asdict(entry), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    failpoint("hosts.release.recorded")
    return entry


def _entry(line: str) -> Release | None:
    try:
        return Release(**json.loads(line))
    except (ValueError, TypeError):
        return None
