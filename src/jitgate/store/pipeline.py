"""Prepared statements on their way to PostgreSQL, as many together as nobody waits for one by one.

The way there and back takes longer than most statements take, on a network and between two processes of one machine.
So what only writes, and what is asked for ahead, waits here until somebody needs an answer; then all of it goes at
once, in the order in which it came (libpq's pipeline mode, PostgreSQL 17 documentation, 32.5). A statement that fails
is heard of there, with the first answer after it or at the end of the function that sent it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from jitgate.store.prepared import Known, Prepared, Rows

_MOST = 256
"""How many statements wait at the most: each holds its values, and then its rows, in memory."""


@dataclass(slots=True, eq=False)
class _Statement:
    """`values`: one set for each time that it runs. `rows`: of one that asks, once it is answered."""

    text: str
    values: Sequence[Any]
    prepared: Prepared | None = None
    asks: bool = False
    rows: list[Any] | None = None


class Pipeline:
    """The way of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[_Statement] = []
        self._known = Known()

    @property
    def connection(self) -> Connection:
        """For what goes there by itself, after all that has waited. Raises the driver's errors."""
        self.flush()
        self._known.forget()
        return self._connection

    def command(self, text: str, values: Mapping[str, Any] | None = None) -> None:
        """Have a command run, such as SAVEPOINT."""
        self._add(_Statement(text, [values]))

    def run(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        """Have a statement run once for each set of values."""
        if values:
            self._known.is_written(statement)
            ready = statement.ready(self._connection.dialect)
            self._add(_Statement(ready.text, [ready.parameters(each) for each in values], statement))

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """Have a statement run; what it yields is told when that is called."""
        ready = statement.ready(self._connection.dialect)
        asked = _Statement(ready.text, [ready.parameters(values)], statement, asks=True)
        self._add(asked)
        return partial(self._answer, asked)

    def ask_once(self, statement: Prepared) -> Rows:
        """Have a statement without values run, if what it yields is not known."""
        return self._known.rows(statement, self)

    def flush(self) -> None:
        """Have run what waits. Raises the driver's errors: of the first that failed, and those after it are not run."""
        together, self._waiting = self._waiting, []
        if not together:
            return
        driver = self._connection.connection.driver_connection
        assert driver is not None
        cursors = _send_together(driver, together) if len(together) > 1 else [_send(driver, together[0])]
        for each, cursor in zip(together, cursors, strict=True):
            if each.asks:
                each.rows = cursor.fetchall()
            cursor.close()

    def drop(self) -> None:
        """Forget what a function has sent that did not come to its end. Commands are not its own, and are run."""
        self._known.forget()
        self._waiting = [each for each in self._waiting if each.prepared is None]
        self.flush()

    def _add(self, statement: _Statement) -> None:
        self._waiting.append(statement)
        if len(self._waiting) >= _MOST:
            self.flush()

    def _answer(self, asked: _Statement) -> list[Any]:
        if asked.rows is None:
            self.flush()
        assert asked.prepared is not None
        assert asked.rows is not None, "it was dropped: whoever asked has failed"
        return asked.prepared.rows(asked.rows, self._connection.dialect)


def _send_together(driver: Any, statements: Sequence[_Statement]) -> list[Any]:
    cursors: list[Any] = []
    failure: Exception | None = None
    try:
        with driver.pipeline():
            try:
                cursors += [_send(driver, each) for each in statements]
            except Exception as error:  # noqa: BLE001 - raised below: left to the pipeline, it would be logged as well
                failure = error
    except Exception as error:  # noqa: BLE001 - after the first one this only tells that what came next was not run
        failure = failure or error
    if failure is not None:
        raise failure
    return cursors


def _send(driver: Any, statement: _Statement) -> Any:
    cursor = driver.cursor()
    if len(statement.values) == 1:
        cursor.execute(statement.text, statement.values[0])
    else:
        cursor.executemany(statement.text, statement.values)
    return cursor
