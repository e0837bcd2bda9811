"""What a function gets from the store to work with."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Executable

from jitgate.store.prepared import Prepared

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Tx:
    """One transaction, valid only inside the function that it was given to.

    `now`  UTC, the same for the whole transaction; it never runs backwards
    """

    __slots__ = ("_connection", "_woken", "now")

    def __init__(self, connection: Connection, now: datetime, woken: set[str] | None = None) -> None:
        """`woken` takes the scopes to wake; None for a transaction that only reads."""
        self._connection: Connection | None = connection
        self._woken = woken
        self.now = now

    def execute(self, statement: Executable, parameters: Parameters | None = None) -> CursorResult[Any]:
        """Run one statement. Fetch what it yields before the function returns.

        Statements that are built once, at import, cost a fifth of those that are built on each call.
        """
        return cast("CursorResult[Any]", self._open().execute(statement, parameters))

    def run(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> int:
        """Run a prepared statement once for each set of values; how many rows that changed."""
        return statement.run(self._open(), values)

    def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """The rows that a prepared statement yields, as named tuples."""
        return statement.fetch(self._open(), values)

    def wake(self, scope: str) -> None:
        """Wake a scope once this is committed; nobody is woken if it is not."""
        if self._woken is None:
            raise RuntimeError("a read changes nothing that a scope could be woken for: use write")
        self._woken.add(scope)

    def end(self) -> None:
        """No further use. For the store itself."""
        self._connection = None

    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the transaction is over: use it only inside the function that got it")
        return self._connection
