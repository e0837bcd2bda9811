"""What a function gets from the store to work with."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, Executable

from jitgate.store.prepared import Prepared

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Consequences:
    """What comes of a write once it is committed: scopes to wake, and what was to be done then."""

    woken: set[str] = field(default_factory=set)
    afterwards: list[Callable[[], object]] = field(default_factory=list)

    def add(self, others: "Consequences") -> None:
        """Those of another function that shares the commit."""
        self.woken |= others.woken
        self.afterwards += others.afterwards

    def come(self) -> None:
        """It is committed: do what was to be done then. Scopes are woken by whoever knows who waits."""
        for call in self.afterwards:
            call()


class Tx:
    """One transaction, valid only inside the function that it was given to.

    `now`  UTC, the same for the whole transaction; it never runs backwards
    """

    __slots__ = ("_connection", "_consequences", "now")

    def __init__(self, connection: Connection, now: datetime, consequences: Consequences | None = None) -> None:
        """`consequences` takes what is to come of it; None for a transaction that only reads."""
        self._connection: Connection | None = connection
        self._consequences = consequences
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
        self._written("a scope could be woken for").woken.add(scope)

    def afterwards(self, call: Callable[[], object]) -> None:
        """Have something called once this is committed, in a thread of the store and this context; never if it is not.

        It must be quick, and raise nothing: nobody hears of it.
        """
        self._written("anything could follow from").afterwards.append(partial(copy_context().run, call))

    def end(self) -> None:
        """No further use. For the store itself."""
        self._connection = None

    def _written(self, what: str) -> Consequences:
        if self._consequences is None:
            raise RuntimeError(f"a read changes nothing that {what}: use write")
        return self._consequences

    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the transaction is over: use it only inside the function that got it")
        return self._connection
