"""What a function gets from the store to work with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, cast

from sqlalchemy import CursorResult, Executable

from jitgate.store.prepared import Prepared, Rows, Way

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

    __slots__ = ("_consequences", "_now", "_tell_now", "_way")

    def __init__(self, way: Way, now: Callable[[], datetime], consequences: Consequences | None = None) -> None:
        """`now`: called once, if somebody wants to know; `consequences` takes what is to come of it; None for a
        transaction that only reads."""
        self._way: Way | None = way
        self._now: datetime | None = None
        self._tell_now = now
        self._consequences = consequences

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = self._tell_now()
        return self._now

    def execute(self, statement: Executable, parameters: Parameters | None = None) -> CursorResult[Any]:
        """Run one statement. Fetch what it yields before the function returns.

        Statements that are built once, at import, cost a fifth of those that are built on each call.
        """
        return cast("CursorResult[Any]", self._open().connection.execute(statement, parameters))

    def run(self, statement: Prepared, values: Sequence[Mapping[str, Any]]) -> None:
        """Run a prepared statement once for each set of values. That it fails may be heard of later in the function."""
        self._open().run(statement, values)

    def fetch(self, statement: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """The rows that a prepared statement yields, as named tuples."""
        return self._open().ask(statement, values)()

    def fetch_each(self, statement: Prepared, values: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
        """As `fetch`, for many sets of values: the rows of each."""
        way = self._open()
        answers = [way.ask(statement, each) for each in values]
        return [answer() for answer in answers]

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        """As `fetch`, for what is wanted later: what is asked before the first answer goes to the database together."""
        return self._open().ask(statement, values)

    def ask_once(self, statement: Prepared) -> Rows:
        """As `ask` without values, for what everybody wants and hardly anybody changes: functions that share a
        transaction share the answer."""
        return self._open().ask_once(statement)

    def wake(self, scope: str) -> None:
        """Wake a scope once this is committed; nobody is woken if it is not."""
        self._written("a scope could be woken for").woken.add(scope)

    def afterwards(self, call: Callable[[], object]) -> None:
        """Have something called once this is committed, in a thread of the store and this context; never if it is not.

        It must be quick, and raise nothing: nobody hears of it.
        """
        self._written("anything could follow from").afterwards.append(partial(copy_context().run, call))

    def finish(self) -> None:
        """Return when all is done that was sent. For the store itself."""
        self._open().flush()

    def end(self) -> None:
        """No further use. For the store itself."""
        self._way = None

    def _written(self, what: str) -> Consequences:
        if self._consequences is None:
            raise RuntimeError(f"a read changes nothing that {what}: use write")
        return self._consequences

    def _open(self) -> Way:
        if self._way is None:
            raise RuntimeError("the transaction is over: use it only inside the function that got it")
        return self._way
