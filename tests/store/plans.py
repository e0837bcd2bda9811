"""How SQLite answers a statement."""

import sqlite3
from contextlib import closing


def plan_of(url: str, statement: str, values: object) -> str:
    """The steps, a line each."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
        return "\n".join(str(row[3]) for row in rows)
