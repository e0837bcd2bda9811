"""A store of its own for every test, on each kind of database."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tests.postgresql import database, execute
from tests.sqlite import put_empty

from jitgate.clock import ManualClock
from jitgate.store.database import Store
from jitgate.store.schema import MICROSECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database. What is about one kind only overrides this."""
    return str(request.param)


@pytest.fixture
def let_pass(kind: str, clock: ManualClock, url: str) -> Callable[[timedelta], None]:
    """Lets time pass by the database's clock: in SQLite the store's own; that of a server cannot be moved, so what it
    is compared with is."""
    if kind == "sqlite":
        return clock.advance

    def pass_leases(by: timedelta) -> None:
        execute(url, f"UPDATE scope_state SET lease_until = lease_until - {by // MICROSECOND}")
        execute(url, f"UPDATE duty SET until = until - {by // MICROSECOND}")

    return pass_leases


@pytest.fixture
def url(kind: str, tmp_path: Path) -> Iterator[str]:
    """Where a database can be opened that nothing is in. No file is there yet."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/jitgate.db"
        return
    with database() as made:
        yield made


@pytest.fixture
def store(kind: str, url: str, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    if kind == "sqlite":
        put_empty(tmp_path / "jitgate.db")
    opened = Store.open(url, clock)
    yield opened
    opened.close()


@pytest.fixture
def statements() -> Iterator[list[tuple[str, object]]]:
    """What is asked of the database, as text and values."""
    seen: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, values: object, _x: object, _m: object) -> None:
        seen.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)
