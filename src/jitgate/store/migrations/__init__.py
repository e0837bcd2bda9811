"""Bringing a database's tables up to date, one revision after the other (Alembic).

Alembic takes a quarter of a second to load, at every start, and hardly ever has it anything to do. So whether it has is
found out without it.
"""

import re
from pathlib import Path

from sqlalchemy import Engine, inspect, text

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)
_FORMER = re.compile(r'^down_revision = "(\w+)"$', re.MULTILINE)


def bring_up_to_date(engine: Engine) -> None:
    """Bring the tables up to date, in one transaction. Raises SchemaError, and then changes nothing."""
    if revision(engine) == newest():
        return
    from jitgate.store.migrations.upgrade import upgrade

    upgrade(engine)


def newest() -> str:
    """The newest revision that this jitgate knows: the one that no other follows."""
    files = [path.read_text("utf-8") for path in (Path(__file__).parent / "versions").glob("[0-9]*.py")]
    former = {found[1] for each in files if (found := _FORMER.search(each))}
    [only] = {found[1] for each in files if (found := _REVISION.search(each))} - former
    return only


def revision(engine: Engine) -> str | None:
    """The revision that a database is at; None for one without tables of jitgate's."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found
