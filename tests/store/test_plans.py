"""Which statements SQLite answers from an index: what a request costs must not grow with what is on record."""

import re
from collections.abc import Iterator
from importlib import import_module

import pytest
from sqlalchemy import Connection, Delete, Engine, Select, Update, create_engine, text

from jitgate.store.prepared import Prepared
from jitgate.store.schema import metadata

MODULES = (
    *("activity", "approvals", "credentials", "cursors", "freezes", "grants", "heads", "lease", "machines"),
    *("measures", "requests", "reviews", "scopes"),
)
GROWING = "grants|grant_key|request|activity|activity_head|credential"
"""The tables that grow with use."""
OF_THE_FLEET = "host|machine|scope_state"
"""Those that grow with the fleet."""
PARTS = {"requests._joined"}
"""No statements of their own."""


def statements() -> Iterator[tuple[str, str]]:
    """Every SELECT, UPDATE and DELETE that is built once, with its name."""
    engine = create_engine("sqlite://")
    for module in MODULES:
        for name, value in vars(import_module(f"jitgate.store.{module}")).items():
            statement = value._statement if isinstance(value, Prepared) else value
            if isinstance(statement, Select | Update | Delete) and f"{module}.{name}" not in PARTS:
                yield f"{module}.{name}", str(statement.compile(engine))


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database with the tables and their indexes."""
    engine: Engine = create_engine("sqlite://")
    with engine.connect() as made:
        metadata.create_all(made)
        made.connection.driver_connection.create_function("jitgate_now", 0, lambda: 0)  # type: ignore[union-attr]
        yield made
    engine.dispose()


@pytest.mark.parametrize("statement", [pytest.param(statement, id=name) for name, statement in statements()])
def test_no_statement_reads_the_whole_of_a_table_that_grows(connection: Connection, statement: str) -> None:
    found = plan(connection, statement)
    partial = connection.execute(text("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %'"))
    whole = rf"SCAN ({GROWING})( USING (COVERING )?INDEX (?!({'|'.join(partial.scalars())})\b).*)?"
    assert not [step for step in found if re.fullmatch(whole, step)], found


@pytest.mark.parametrize("statement", [each for name, each in statements() if name.startswith("measures.")])
def test_no_measure_reads_the_whole_of_a_table_that_grows_with_the_fleet(
    connection: Connection, statement: str
) -> None:
    found = plan(connection, statement)
    assert not [step for step in found if re.fullmatch(rf"SCAN ({OF_THE_FLEET})", step)], found


def plan(connection: Connection, statement: str) -> list[str]:
    """The steps by which a statement is answered."""
    # A list among the parameters is one value here; the plan is the same.
    one = re.sub(r"\(__\[POSTCOMPILE_\w+\]\)", "(?)", statement)
    return [row.detail for row in connection.execute(text("EXPLAIN QUERY PLAN " + re.sub(r"\?", "NULL", one)))]
