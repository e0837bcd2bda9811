"""A copy of the records in a file, as of one moment, while others work on them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from jitgate.core.errors import Invalid, Unavailable
from jitgate.store.database import parse
from jitgate.store.sqlite import outage


def file_of(url: str) -> Path:
    """The file that the records are in. Raises Invalid for those in PostgreSQL."""
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise Invalid(
            "store.url",
            "the records are in PostgreSQL, which jitgate neither copies nor puts back",
            allowed="pg_dump and pg_restore, or the snapshots of whoever runs the database (docs/how-to/back-up.md)",
        )
    return Path(parsed.database)


def copy(url: str, to: Path) -> None:
    """Copy all records into a new file (sqlite.org/backup.html). Raises Invalid, Unavailable."""
    source = file_of(url)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as one,
            closing(sqlite3.connect(to)) as other,
        ):
            one.backup(other)
    except sqlite3.Error as error:
        raise outage(error) or Unavailable(f"The records in {source} cannot be copied: {error}. Try again.") from error
