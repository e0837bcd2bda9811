"""An SQLite database that is brought up to date once, to be copied: that takes a hundredth of making one."""

import os
import tempfile
from functools import cache
from pathlib import Path

from jitgate.clock import ManualClock
from jitgate.store.database import Store


def put_empty(path: Path) -> None:
    """A database in which nothing is, unless there is one already; for its owner alone, as a store makes it."""
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_empty())


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory(prefix="jg-empty-", dir=fast_place()) as directory:
        Store.open(f"sqlite:///{directory}/jitgate.db", ManualClock()).close()
        return (Path(directory) / "jitgate.db").read_bytes()


def fast_place() -> str | None:
    """Memory where there is some: hundreds of databases are made, and none outlives its test."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
