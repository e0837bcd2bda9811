"""Releasing a host from protection, and the record of who did, when and why.

The record has one JSON object a line, oldest first. The last line tells what holds.
"""

import json
import os
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from jitgate.connectors.base import ConnectorError
from jitgate.connectors.hosts import boot
from jitgate.connectors.hosts.nf_tables import Reader
from jitgate.connectors.hosts.nft import Nft
from jitgate.connectors.hosts.table import BOOT_TABLE, TABLE
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
    """The release that holds, if one does. Raises ConnectorError for a record that cannot be read."""
    try:
        lines = (directory / FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    if not lines:
        return None
    try:
        last = Release(**json.loads(lines[-1]))
    except (ValueError, TypeError):
        raise ConnectorError(f"the last line of {directory / FILE} is not a record; remove that line") from None
    return last if last.released else None


def release_without_agent(namespace: str | None, directory: Path, *, by: str, why: str, at: datetime) -> Release:
    """Open everything on a host that no agent serves: what its agent does when it is told to.

    Raises ConnectorError while an agent lives, which owns the table and would only put it back.
    """
    with closing(Nft(namespace)) as nft, closing(Reader(namespace)) as reader:
        standing_tables = reader.tables() & {TABLE, BOOT_TABLE}
        if TABLE in standing_tables and not _is_orphan(nft):
            raise ConnectorError("an agent serves this host; ask it to release the host, or stop it first")
        entry = record(directory, released=True, by=by, why=why, at=at)
        boot.write(directory, boot.render({}, ()))
        nft.run([f"delete table inet {name}" for name in sorted(standing_tables)])
    return entry


def _is_orphan(nft: Nft) -> bool:
    try:
        nft.claim(TABLE)
    except ConnectorError:
        return False
    return True


def record(directory: Path, *, released: bool, by: str, why: str, at: datetime) -> Release:
    """Write down that a host was released, or protected again. It is on disk when this returns."""
    entry = Release(released, at.isoformat(timespec="milliseconds"), by[:200], why[:1000])
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    failpoint("hosts.release.recorded")
    return entry
