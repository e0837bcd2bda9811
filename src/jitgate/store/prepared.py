"""Statements of the asking path, compiled once.

Between a statement and the driver SQLAlchemy spends 10 to 25 µs a call, more than SQLite spends on one
row, and all of it in the one thread that writes. For the few statements that every request runs, the text
and the conversion of values are worked out once here, and the driver is called directly, so its errors
are the driver's own. Anything else goes through `Tx.execute`.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Delete, Dialect, Insert, Select, Update, literal_column
from sqlalchemy.types import TypeEngine

Convert = Callable[[Any], Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Ready:
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
        self._columns = None if columns is None else list(columns)
        self._ready: dict[str, _Ready] = {}
        self._yielded = tuple(statement.exported_columns)
        columns = [column.key or "" for column in self._yielded]
        self._row: Callable[[Iterable[Any]], Any] = namedtuple("Row", columns)._make  # type: ignore[attr-defined]

    def run(self, connection: Connection, values: Sequence[Mapping[str, Any]]) -> int:
        """Run it once for each set of values; how many rows that changed."""
        if not values:
            return 0
        ready = self._for(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            if len(values) == 1:  # which costs half of what many cost, where there are not many
                cursor.execute(ready.text, ready.parameters(values[0]))
            else:
                cursor.executemany(ready.text, [ready.parameters(one) for one in values])
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def fetch(self, connection: Connection, values: Mapping[str, Any]) -> list[Any]:
        """The rows that it yields, as named tuples."""
        ready = self._for(connection.dialect)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(ready.text, ready.parameters(values))
            rows = cursor.fetchall()
        finally:
            cursor.close()
        return [self._row(ready.read(row)) for row in rows]

    def _for(self, dialect: Dialect) -> _Ready:
        found = self._ready.get(dialect.name)
        if found is None:
            found = self._ready[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> _Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        binds = compiled.binds
        constants = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
        return _Ready(
            text=str(compiled),
            names=list(compiled.positiontup) if compiled.positional and compiled.positiontup is not None else None,
            to_driver=dict(_converters((name, _to_driver(bind.type, dialect)) for name, bind in binds.items())),
            constants=constants,
            from_driver=list(_converters(enumerate(_from_driver(each.type, dialect) for each in self._yielded))),
        )


def literal_in(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """`column IN (…)` with the values written out, so that partial indexes on them can be used."""
    return column.in_([literal_column(f"'{value}'") for value in values])


def _converters(found: Iterable[tuple[T, Convert | None]]) -> Iterator[tuple[T, Convert]]:
    return ((place, convert) for place, convert in found if convert is not None)


def _to_driver(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return type_.dialect_impl(dialect).bind_processor(dialect)


def _from_driver(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return type_.dialect_impl(dialect).result_processor(dialect, None)
