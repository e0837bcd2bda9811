"""One file of rules: what is in it of ours, and how it is written anew.

    allow tcp 80 from 0.0.0.0/0
    allow tcp 22 from 203.0.113.7/32 # jitgate until 2030-01-01T01:00:00+00:00
    deny tcp 22 # jitgate

The first rule that fits decides. Ours carry a mark, and stand above those of others, which are kept as they are.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jitgate.core.prefixes import Prefix, covers, of_address

MARK = "# jitgate"
_RULE = re.compile(
    r"(?P<verb>allow|deny) (?P<protocol>tcp|udp) (?P<port>\d+)( from (?P<source>\S+))?(?P<mark> # jitgate( until .+)?)?"
)


@dataclass(frozen=True, slots=True)
class Hole:
    """One source that is let in. `end`: until then (UTC)."""

    protocol: str
    port: int
    source: Prefix
    end: datetime

    @property
    def key(self) -> tuple[str, int, Prefix]:
        """All but the end."""
        return self.protocol, self.port, self.source

    def __str__(self) -> str:
        return f"allow {self.protocol} {self.port} from {self.source} {MARK} until {self.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a file says: our holes, our denied ports, and the lines of others."""

    holes: frozenset[Hole]
    denied: frozenset[tuple[str, int]]
    others: tuple[str, ...]

    def __str__(self) -> str:
        denied = (f"deny {protocol} {port} {MARK}" for protocol, port in sorted(self.denied))
        return "".join(f"{line}\n" for line in (*sorted(map(str, self.holes)), *denied, *self.others))


def read(file: Path) -> Rules:
    """A file that is not there is empty. Raises OSError."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    ours = [found for line in lines if (found := _RULE.fullmatch(line)) and found["mark"]]
    return Rules(
        frozenset(hole for found in ours if (hole := _hole(found)) is not None),
        frozenset((found["protocol"], int(found["port"])) for found in ours if found["verb"] == "deny"),
        tuple(line for line in lines if not ((found := _RULE.fullmatch(line)) and found["mark"])),
    )


def write(file: Path, rules: Rules) -> None:
    """All or nothing: whoever dies here leaves the old file. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as made:
        made.write(str(rules))
        os.fchmod(made.fileno(), 0o644)
        os.fsync(made.fileno())
    os.replace(name, file)


def lets(file: Path, protocol: str, port: int, source: str) -> bool:
    """Whether the firewall lets a source in: the first rule that fits decides, and none lets everybody in."""
    for verb, prefix in _fitting(file, protocol, port):
        if prefix is None or covers(prefix, of_address(source)):
            return verb == "allow"
    return True


def _fitting(file: Path, protocol: str, port: int) -> Iterator[tuple[str, Prefix | None]]:
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        found = _RULE.fullmatch(line)
        if found and (found["protocol"], int(found["port"])) == (protocol, port):
            yield found["verb"], Prefix(found["source"]) if found["source"] else None


def _hole(found: re.Match[str]) -> Hole | None:
    text = found["mark"].partition(" until ")[2]
    if found["verb"] != "allow" or not text or not found["source"]:
        return None
    return Hole(found["protocol"], int(found["port"]), Prefix(found["source"]), datetime.fromisoformat(text))
