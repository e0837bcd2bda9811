"""What passes come to, as figures that Prometheus reads (`jitgate.metrics`)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter

from jitgate import metrics, tracing
from jitgate.connectors.base import ConnectorError, Done, GenerationBehind, Outcome
from jitgate.core.access import CloseReason, State
from jitgate.core.progress import Move
from jitgate.tracing import Kind


def moves(made: Iterable[Move]) -> None:
    """Grants were moved on, and that is committed."""
    for move in made:
        metrics.MOVES.labels(move.state, move.reason or "").inc()
        if move.state is State.OPEN:
            metrics.OPENING.observe((move.at - move.grant.since).total_seconds())
        elif move.state is State.CLOSED and move.grant.state is State.CLOSING:
            metrics.CLOSE_LATENESS.labels(move.reason or "").observe(max(0.0, lateness(move).total_seconds()))


def lateness(move: Move) -> timedelta:
    """How long after its end, or after the word that shut it sooner, a grant was proven shut."""
    grant = move.grant
    if move.reason is CloseReason.EXPIRED and grant.end is not None:
        return move.at - grant.end
    return move.at - grant.since


@contextmanager
def asked(connector: str) -> Iterator[None]:
    """A firewall is asked, however that ends."""
    began = perf_counter()
    try:
        with tracing.span("connector", {"jitgate.connector": connector}, Kind.CLIENT):
            yield
    finally:
        metrics.CONNECTOR_SECONDS.labels(connector).observe(perf_counter() - began)


def passed(connector: str, outcome: Outcome | ConnectorError | None, seconds: float) -> None:
    """A pass is on record."""
    metrics.PASSES.labels(connector, _word(outcome)).inc()
    metrics.PASS_SECONDS.observe(seconds)


def _word(outcome: Outcome | ConnectorError | None) -> str:
    if outcome is None:
        return "idle"
    if isinstance(outcome, GenerationBehind):
        return "behind"
    if isinstance(outcome, ConnectorError):
        return "failed"
    return "done" if isinstance(outcome, Done) else "pending"
