"""A store of its own for every test."""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jitgate.clock import ManualClock
from jitgate.store.database import Store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def let_pass(clock: ManualClock) -> Callable[[timedelta], None]:
    """Lets time pass by the database's clock, which in SQLite is the store's own."""
    return clock.advance


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where there is no database yet."""
    return f"sqlite:///{tmp_path}/jitgate.db"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was made once, to be copied: that is faster than making one for each test."""
    path = tmp_path_factory.mktemp("migrated") / "jitgate.db"
    Store.open(f"sqlite:///{path}", ManualClock()).close()
    return path


@pytest.fixture
def store(url: str, tmp_path: Path, migrated: Path, clock: ManualClock) -> Iterator[Store]:
    shutil.copy(migrated, tmp_path / "jitgate.db")
    opened = Store.open(url, clock)
    yield opened
    opened.close()
