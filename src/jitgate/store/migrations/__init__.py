"""Bringing a database's tables up to date, one revision after the other (Alembic).

Alembic takes a quarter of a second to load, at every start, and hardly ever has it anything to do. So whether it has is
found out without it.

Replicas of two versions can work on one database at once (docs/decisions/0026). A revision comes before the code that
needs it, and adds only what older code does not mind; one that takes away what older code needs says `phase = "post"`,
and comes when no replica lives that does not know it.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table

from jitgate.core.errors import JitgateError
from jitgate.store.schema import meta
from jitgate.store.transaction import Tx

VERSIONS = Path(__file__).parent / "versions"
NEEDS = "needs"
"""The line of `meta` with the last revision of which older code has to know; none: there was no such revision yet."""

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)
_FORMER = re.compile(r'^down_revision = "(\w+)"$', re.MULTILINE)
_POST = re.compile(r'^phase = "post"$', re.MULTILINE)
_version = table("alembic_version", column("version_num"))
_at = select(_version.c.version_num)
_needs = select(meta.c.value).where(meta.c.name == NEEDS)


class SchemaError(JitgateError):
    """The database is not one that this jitgate can work with."""

    code = "DatabaseSchema"


@dataclass(frozen=True, slots=True)
class Revision:
    """A step of the tables. `is_post`: it takes away what code that does not know it needs."""

    id: str
    is_post: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a database has come. `at`: None for one without tables of jitgate's; `needs`: see `NEEDS`."""

    at: str | None
    needs: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether this jitgate knows the revision that the database is at."""
        return self.at is None or any(each.id == self.at for each in chain())

    @property
    def fits(self) -> bool:
        """Whether this jitgate can work with the database as it is: with all it needs, and nothing gone from it."""
        ids = [each.id for each in chain()]
        if self.at in ids:
            return ids.index(self.at) >= ids.index(needed())
        return self.at is not None and (self.needs is None or self.needs in ids)

    @property
    def missing(self) -> tuple[Revision, ...]:
        """The revisions that are still to come; none for a database that is newer."""
        ids = [each.id for each in chain()]
        if self.at is None:
            return chain()
        return chain()[ids.index(self.at) + 1 :] if self.at in ids else ()


def bring_up_to_date(engine: Engine) -> None:
    """Bring the tables as far as this jitgate needs, in one transaction. Raises SchemaError, and then changes nothing.

    What would be in the way of older replicas is left for later (`finish`); a file has no others.
    """
    with engine.connect() as connection:
        found = standing(connection)
    if found.fits and (not found.missing or engine.dialect.name == "postgresql"):
        return
    finish(engine)


def finish(engine: Engine) -> list[str]:
    """Bring the tables as far as living replicas allow; the names of those that are in the way of the rest.

    Raises SchemaError, and then changes nothing.
    """
    # Not at the top: see above.
    from jitgate.store.migrations.upgrade import upgrade

    return upgrade(engine)


def standing(connection: Connection) -> Standing:
    """How far a database has come."""
    return seen(connection) if inspect(connection).has_table(_version.name) else Standing(None)


def seen(database: Connection | Tx) -> Standing:
    """How far a database with tables of jitgate's has come."""
    at: str | None = database.execute(_at).scalar()
    return Standing(at, None if at is None else database.execute(_needs).scalar())


@cache
def chain() -> tuple[Revision, ...]:
    """The revisions that this jitgate knows, in their order."""
    found: dict[str | None, Revision] = {}
    for path in VERSIONS.glob("[0-9]*.py"):
        text = path.read_text("utf-8")
        former = _FORMER.search(text)
        [revision] = _REVISION.findall(text)
        found[former and former[1]] = Revision(revision, _POST.search(text) is not None)
    ordered = [found[None]]
    while (following := found.get(ordered[-1].id)) is not None:
        ordered.append(following)
    return tuple(ordered)


def newest() -> str:
    """The newest revision that this jitgate knows."""
    return chain()[-1].id


def needed() -> str:
    """The revision that this jitgate needs: what takes away may still be to come."""
    return next(each.id for each in reversed(chain()) if not each.is_post)
