"""Prepared statements on their way to PostgreSQL, as many together as nobody waits for one by one.

The way there and back takes longer than most statements take, on a network and between two processes of one machine.
So what only writes, and what is asked for ahead, waits here until somebody needs an answer; then all of it goes at
once, in the order in which it came (libpq's pipeline mode, PostgreSQL 17 documentation, 32.5). A statement that fails
is heard of there, with the first answer after it or at the end of the function that sent it.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection

from jitgate.store.prepared import Known, Prepared, Rows, execute

_MOST = 256
"""How many sets of values wait at the most: they, and then the rows, are held in memory."""


@dataclass(slots=True, eq=False)
class _Statement:
    """`values`: one set for each time that it runs. `rows`: of one that asks, once it is answered."""

    text: str
    values: Sequence[Any]
    prepared: Prepared | None = None
    asks: bool = False
    rows: list[Any] | None = None


class Pipeline:
    """The way of one transaction. A context manager: it is left before the transaction ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[_Statement] = []
        self._values = 0
        self._known = Known()
        self._mode = ExitStack()
        self._pipeline: Any = None

    @property
    def connection(self) -> Connection:
        """For what goes there by itself, after all that has waited. Raises the driver's errors."""
        self.flush()
        self.leave()
        self._known.forget()
        return self._connection

    def command(self, text: str, values: Mapping[str, Any] | None = None) -> None:
        """Have a command run, such as SAVEPOINT."""
        self._add(_Statement(text, [values]))

    def run(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        """Have a statement run once for each set of values."""
        if values:
            self._known.see(statement)
            ready = statement.ready(self._connection.dialect)
            self._add(_Statement(ready.text, [ready.parameters(each) for each in values], statement))

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """Have a statement run; what it yields is told when that is called."""
        self._known.see(statement)
        ready = statement.ready(self._connection.dialect)
        asked = _Statement(ready.text, [ready.parameters(values)], statement, asks=True)
        self._add(asked)
        return partial(self._answer, asked)

    def ask_once(self, statement: Prepared) -> Rows:
        """Have a statement without values run, if what it yields is not known."""
        return self._known.rows(statement, self)

    def flush(self) -> None:
        """Have run what waits. Raises the driver's errors: of the first that failed, and those after it are not run."""
        together, self._waiting, self._values = self._waiting, [], 0
        if not together:
            return
        try:
            cursors = self._send(together)
        except Exception as error:  # noqa: BLE001 - the driver's own, which is not imported here
            raise self._first(error) from None
        for each, cursor in zip(together, cursors, strict=True):
            if each.asks:
                each.rows = cursor.fetchall()
            cursor.close()

    def drop(self) -> None:
        """Forget what a function has sent that did not come to its end, and leave.

        Commands are not its own, and are run. Raises the driver's errors.
        """
        self._known.forget()
        self._waiting = [each for each in self._waiting if each.prepared is None]
        self.flush()
        self.leave()

    def leave(self) -> None:
        """Have the connection take one statement after the other again. Raises the driver's errors."""
        self._pipeline = None
        self._mode.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        with suppress(Exception) if error else nullcontext():
            self.leave()

    def _send(self, together: Sequence[_Statement]) -> list[Any]:
        driver = self._connection.connection.driver_connection
        assert driver is not None
        if self._pipeline is None:
            self._pipeline = self._mode.enter_context(driver.pipeline())
        cursors = [driver.cursor() for _ in together]
        for each, cursor in zip(together, cursors, strict=True):
            execute(cursor, each.text, each.values)
        # Not by leaving: psycopg flushes then, and with that PostgreSQL no longer ends a transaction that stands still.
        self._pipeline.sync()
        return cursors

    def _first(self, error: Exception) -> Exception:
        """What PostgreSQL has refused, if it has, even where the driver had something to say of what came after it."""
        try:
            self.leave()
        except Exception as refused:  # noqa: BLE001 - mostly that what came next was not run
            if getattr(error, "sqlstate", None) is None and getattr(refused, "sqlstate", None) is not None:
                return refused
        return error

    def _add(self, statement: _Statement) -> None:
        self._waiting.append(statement)
        self._values += len(statement.values)
        if self._values >= _MOST:
            self.flush()

    def _answer(self, asked: _Statement) -> list[Any]:
        if asked.rows is None:
            self.flush()
        assert asked.prepared is not None
        assert asked.rows is not None, "it was dropped: whoever asked has failed"
        return asked.prepared.rows(asked.rows, self._connection.dialect)
