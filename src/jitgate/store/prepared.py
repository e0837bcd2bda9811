"""Statements of the asking path, compiled once.

Between a statement and the driver SQLAlchemy spends 10 to 25 µs a call, more than SQLite spends on one
row, and all of it in the one thread that writes. For the few statements that every request runs, the text
and the conversion of values are worked out once here, and the driver is called directly, so its errors
are the driver's own. Anything else goes through `Tx.execute`.

How they get to the database depends on how far away that is: `AtOnce`, or `jitgate.store.pipeline`.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Delete, Dialect, Insert, Select, Table, Update, literal_column
from sqlalchemy.sql import visitors
from sqlalchemy.types import TypeEngine

Convert = Callable[[Any], Any]
Rows = Callable[[], list[Any]]
"""Tells what a statement has yielded, as named tuples."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ready:
    """A statement as one driver takes it.

    `names`        the order of the parameters; None: they go by name
    `from_driver`  how to read values of a row, by their position
    """

    text: str
    names: Sequence[str] | None
    to_driver: Mapping[str, Convert]
    constants: Mapping[str, Any]
    from_driver: Sequence[tuple[int, Convert]]

    def parameters(self, values: Mapping[str, Any]) -> Any:
        given = {**self.constants, **values}
        for name, convert in self.to_driver.items():
            given[name] = convert(given[name])
        if self.names is None:
            return given
        return [given[name] for name in self.names]

    def read(self, row: Iterable[Any]) -> list[Any]:
        found = list(row)
        for position, convert in self.from_driver:
            found[position] = convert(found[position])
        return found


class Prepared:
    """A SELECT, INSERT, UPDATE or DELETE, also with RETURNING, without lists among its parameters.

    `columns`: for an INSERT, the columns that are given.
    """

    def __init__(self, statement: Select[Any] | Insert | Update | Delete, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self.tables = frozenset(_tables(statement))
        self.writes = not isinstance(statement, Select)
        self._columns = None if columns is None else list(columns)
        self._ready: dict[str, Ready] = {}
        self._yielded = tuple(statement.exported_columns)
        columns = [column.key or "" for column in self._yielded]
        self._row: Callable[[Iterable[Any]], Any] = namedtuple("Row", columns)._make  # type: ignore[attr-defined]

    def run(self, connection: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each set of values."""
        if not values:
            return
        ready = self.ready(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            execute(cursor, ready.text, [ready.parameters(one) for one in values])
        finally:
            cursor.close()

    def fetch(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows that it yields, as named tuples."""
        ready = self.ready(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(ready.text, ready.parameters(values))
            return self.rows(cursor.fetchall(), connection.dialect)
        finally:
            cursor.close()

    def rows(self, fetched: Iterable[Iterable[Any]], dialect: Dialect) -> list[Any]:
        """What a driver has fetched, as named tuples."""
        ready = self.ready(dialect)
        return [self._row(ready.read(row)) for row in fetched]

    def ready(self, dialect: Dialect) -> Ready:
        """It, as a driver takes it."""
        found = self._ready.get(dialect.name)
        if found is None:
            found = self._ready[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        binds = compiled.binds
        constants = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
        return Ready(
            text=str(compiled),
            names=list(compiled.positiontup) if compiled.positional and compiled.positiontup is not None else None,
            to_driver=dict(_converters((name, _to_driver(bind.type, dialect)) for name, bind in binds.items())),
            constants=constants,
            from_driver=list(_converters(enumerate(_from_driver(each.type, dialect) for each in self._yielded))),
        )


def execute(cursor: Any, text: str, parameters: Sequence[Any]) -> None:
    """Have a driver's cursor run a statement once for each set of parameters."""
    if len(parameters) == 1:  # which costs half of what many cost, where there are not many
        cursor.execute(text, parameters[0])
    else:
        cursor.executemany(text, parameters)


class Way(Protocol):
    """How statements get to the database."""

    @property
    def connection(self) -> Connection:
        """For what is not prepared, once all is done that was sent before."""
        ...

    def run(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of values."""
        ...

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """Run a statement; what it yields is told when that is called."""
        ...

    def ask_once(self, statement: Prepared) -> Rows:
        """As `ask`, of a statement without values: not again if what it yields is known."""
        ...

    def flush(self) -> None:
        """Return when all is done that was sent."""
        ...


class Known:
    """Answers that hold for all functions of one transaction, until one of them writes to such a table or is undone."""

    def __init__(self) -> None:
        self._rows: dict[Prepared, Rows] = {}

    def rows(self, statement: Prepared, way: Way) -> Rows:
        """What a statement without values yields, asked for if it is not known."""
        if statement not in self._rows:
            self._rows[statement] = way.ask(statement, {})
        return self._rows[statement]

    def see(self, statement: Prepared) -> None:
        """A statement goes to the database: what it writes is known no more."""
        if statement.writes and any(not statement.tables.isdisjoint(known.tables) for known in self._rows):
            self.forget()

    def forget(self) -> None:
        """Nobody knows what holds now."""
        self._rows.clear()


class AtOnce:
    """Statements that run when they are given: the database is a file, or it is one statement only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known = Known()

    @property
    def connection(self) -> Connection:
        """For what is not prepared."""
        self._known.forget()
        return self._connection

    def run(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each set of values."""
        self._known.see(statement)
        statement.run(self._connection, values)

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """Run a statement; what tells what it yielded."""
        self._known.see(statement)
        rows = statement.fetch(self._connection, values)
        return lambda: rows

    def ask_once(self, statement: Prepared) -> Rows:
        """Run a statement without values, if what it yields is not known."""
        return self._known.rows(statement, self)

    def flush(self) -> None:
        """Nothing waits."""

    def forget(self) -> None:
        """A function was undone, with what it wrote."""
        self._known.forget()


def literal_in(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """`column IN (…)` with the values written out, so that partial indexes on them can be used."""
    return column.in_([literal_column(f"'{value}'") for value in values])


def _converters(found: Iterable[tuple[T, Convert | None]]) -> Iterator[tuple[T, Convert]]:
    return ((place, convert) for place, convert in found if convert is not None)


def _tables(statement: Select[Any] | Insert | Update | Delete) -> Iterator[str]:
    """The names of those that it reads, or writes to."""
    return (table.name for table in visitors.iterate(statement) if isinstance(table, Table))


def _to_driver(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return type_.dialect_impl(dialect).result_processor(dialect, None)
