"""Spans of what happens, for whoever traces it with OpenTelemetry; nothing, and nothing is loaded, where nobody does.

A call, a look at a firewall, a turn at the database and a firewall's work are spans in whichever trace they belong to.
What is asked for is a trace of its own, whose id is the request's: a day later, and by another replica, its grants are
spans there, one for each state that they were in. Each is linked to the span in which it changed.

No span holds what people send: no path, no query, no header, no address, no text of an error.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import Enum
from typing import Protocol

from jitgate.core.errors import Invalid

Value = str | int | float | bool


class Kind(Enum):
    """Who is at the other end: a client, nobody, a server."""

    SERVER = "server"
    INTERNAL = "internal"
    CLIENT = "client"


class Span(Protocol):
    """A span under way."""

    def name(self, name: str) -> None:
        """Call it otherwise than it was begun."""
        ...

    def note(self, facts: Mapping[str, Value]) -> None:
        """Add what is known by now."""
        ...

    def link(self, requests: Sequence[str]) -> None:
        """It is about these requests."""
        ...

    def fail(self, what: str) -> None:
        """It came to nothing. `what`: a kind of error, never its text."""
        ...


class Tracer(Protocol):
    """Whoever takes the spans."""

    def span(self, name: str, kind: Kind, parent: str, facts: Mapping[str, Value]) -> AbstractContextManager[Span]: ...

    def asked(self, request: str, at: datetime) -> None: ...

    def was(self, request: str, state: str, since: datetime, until: datetime, facts: Mapping[str, Value]) -> None: ...

    def end(self) -> None: ...


class _Nothing:
    """A span that nobody wants."""

    def name(self, name: str) -> None: ...

    def note(self, facts: Mapping[str, Value]) -> None: ...

    def link(self, requests: Sequence[str]) -> None: ...

    def fail(self, what: str) -> None: ...


UNWANTED: Span = _Nothing()
_NOTHING = nullcontext(UNWANTED)
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Have all spans of this process taken from now on. None: nobody takes them any more."""
    global _tracer
    _tracer = tracer


def begin(endpoint: str, facts: Mapping[str, Value]) -> None:
    """Send all spans of this process to a collector from now on. `facts`: what they have in common.

    Raises Invalid where the extra is missing.
    """
    try:
        # Not at the top: it is an extra, and takes a while to load.
        from jitgate.tracing.exporting import to_collector
    except ImportError:
        raise Invalid(
            "tracing.endpoint", "OpenTelemetry is not installed", allowed="pip install 'jitgate[otel]'"
        ) from None
    use(to_collector(endpoint, facts))


def end() -> None:
    """Hand over what is left, and take no more."""
    tracer = _tracer
    use(None)
    if tracer is not None:
        tracer.end()


def span(
    name: str, facts: Mapping[str, Value] | None = None, kind: Kind = Kind.INTERNAL, parent: str = ""
) -> AbstractContextManager[Span]:
    """A span of what happens within. `parent`: a ``traceparent`` (W3C Trace Context) that came from elsewhere."""
    return _NOTHING if _tracer is None else _tracer.span(name, kind, parent, facts or {})


def asked(request: str, at: datetime) -> None:
    """A request was made: it begins a trace."""
    if _tracer is not None:
        _tracer.asked(request, at)


def was(request: str, state: str, since: datetime, until: datetime, facts: Mapping[str, Value]) -> None:
    """A grant of a request was in a state until now: a span of its trace."""
    if _tracer is not None:
        _tracer.was(request, state, since, until, facts)
