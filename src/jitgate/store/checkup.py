"""What can be told of a database from outside, while others work on it; nothing is changed."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from jitgate.clock import Clock
from jitgate.core.errors import Unavailable
from jitgate.store import postgresql, sqlite
from jitgate.store.database import parse
from jitgate.store.migrations import standing
from jitgate.store.prepared import AtOnce
from jitgate.store.schema import EPOCH, MICROSECOND
from jitgate.store.time import DatabaseClock, StoreTime, latest


@dataclass(frozen=True, slots=True)
class Condition:
    """`fits`         whether this jitgate can work on the tables
    `missing`      revisions that are still to come
    `differences`  in what tables of the newest revision are not as they must be
    `now`          the database's own time, `latest` the latest moment on record; None where there are no tables
    """

    fits: bool
    missing: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    now: datetime | None = None
    latest: datetime | None = None


def examine(url: str, clock: Clock) -> Condition:
    """Look at a database. Raises Invalid for a URL that is none, Unavailable where it cannot be reached."""
    engine = _engine(url, clock)
    outage = sqlite.outage if engine.dialect.name == "sqlite" else postgresql.outage
    try:
        with engine.connect() as connection:
            return _condition(connection)
    except (SQLAlchemyError, OSError) as error:
        raise outage(error) or Unavailable(f"The database cannot be read: {type(error).__name__}.") from error
    finally:
        engine.dispose()


def _engine(url: str, clock: Clock) -> Engine:
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        return postgresql.engine(parsed)
    # SQLite would make the file.
    if parsed.database and not Path(parsed.database).exists():
        raise Unavailable(f"There is no database at {parsed.database}. Check store.url and --data-dir.")
    return sqlite.engine(parsed, StoreTime(clock))


def _condition(connection: Connection) -> Condition:
    # Not at the top: what compares tables takes a while to load.
    from jitgate.store.migrations.upgrade import differences

    found = standing(connection)
    if found.at is None:
        return Condition(fits=False)
    missing = tuple(each.id for each in found.missing)
    unlike = tuple(differences(connection)) if found.is_known and not missing else ()
    microseconds: int = connection.execute(select(DatabaseClock())).scalar_one()
    return Condition(found.fits, missing, unlike, EPOCH + microseconds * MICROSECOND, latest(AtOnce(connection)))
