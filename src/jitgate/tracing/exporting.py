"""Spans, sent to a collector by OpenTelemetry's own SDK. Loaded only where that was chosen.

The provider is not made the process's global one: no library shall find it, and add what it likes to say.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from jitgate.tracing import Kind, Span, Value

_KINDS = {Kind.SERVER: SpanKind.SERVER, Kind.INTERNAL: SpanKind.INTERNAL, Kind.CLIENT: SpanKind.CLIENT}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REQUEST = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_HALF = 64

_chosen: ContextVar[int] = ContextVar("chosen", default=0)
"""The trace id of the span that is begun just now; 0: any."""


def to_collector(endpoint: str, facts: Mapping[str, Value]) -> "Otel":
    """A tracer that sends spans to a URL: OTLP over HTTP. `facts`: what all spans of this process have in common."""
    return Otel(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)), facts)


class Otel:
    """A tracer whose spans go to a processor of the SDK."""

    def __init__(self, processor: SpanProcessor, facts: Mapping[str, Value]) -> None:
        self._provider = TracerProvider(
            resource=Resource.create(dict(facts)), id_generator=_Ids(), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("jitgate")

    def span(self, name: str, kind: Kind, parent: str, facts: Mapping[str, Value]) -> AbstractContextManager[Span]:
        return self._span(name, kind, parent, facts)

    @contextmanager
    def _span(self, name: str, kind: Kind, parent: str, facts: Mapping[str, Value]) -> Iterator[Span]:
        # What an exception says may hold what somebody has sent.
        with self._tracer.start_as_current_span(
            name,
            _context(parent),
            _KINDS[kind],
            dict(facts),
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            under_way = _Span(begun)
            try:
                yield under_way
            except BaseException as error:
                under_way.fail(type(error).__name__)
                raise

    def asked(self, request: str, at: datetime) -> None:
        if not _REQUEST.fullmatch(request):
            return
        chosen = _chosen.set(int(request, 16))
        begun = self._tracer.start_span("request", Context(), links=_links(), start_time=_nanoseconds(at))
        _chosen.reset(chosen)
        begun.set_attribute("jitgate.request", request)
        begun.end(_nanoseconds(at))
        _Span(trace.get_current_span()).link([request])

    def was(self, request: str, state: str, since: datetime, until: datetime, facts: Mapping[str, Value]) -> None:
        root = _root(request)
        if root is None or not self._is_sampled(root.trace_id):
            return
        within = trace.set_span_in_context(NonRecordingSpan(root), Context())
        begun = self._tracer.start_span(
            state, within, attributes=dict(facts), links=_links(), start_time=_nanoseconds(since)
        )
        begun.end(_nanoseconds(until))

    def end(self) -> None:
        self._provider.shutdown()

    def _is_sampled(self, trace_id: int) -> bool:
        """Whether the trace's first span was taken, by whichever replica: where by share, it is decided by the id."""
        taken = self._provider.sampler.should_sample(Context(), trace_id, "request").decision
        return taken is Decision.RECORD_AND_SAMPLE


class _Span:
    """A span of the SDK."""

    def __init__(self, begun: trace.Span) -> None:
        self._begun = begun

    def name(self, name: str) -> None:
        self._begun.update_name(name)

    def note(self, facts: Mapping[str, Value]) -> None:
        self._begun.set_attributes(dict(facts))

    def link(self, requests: Sequence[str]) -> None:
        for root in filter(None, map(_root, requests)):
            self._begun.add_link(root)

    def fail(self, what: str) -> None:
        self._begun.set_attribute("error.type", what)
        self._begun.set_status(Status(StatusCode.ERROR))


class _Ids(RandomIdGenerator):
    """Ids by chance, but for the first span of a request's trace: whoever knows the request knows both of its ids."""

    def generate_trace_id(self) -> int:
        return _chosen.get() or super().generate_trace_id()

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return _span_id(chosen) if chosen else super().generate_span_id()


def _span_id(trace_id: int) -> int:
    return trace_id >> _HALF or 1


def _root(request: str) -> SpanContext | None:
    """The first span of a request's trace."""
    if not _REQUEST.fullmatch(request):
        return None
    trace_id = int(request, 16)
    return SpanContext(trace_id, _span_id(trace_id), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _links() -> list[trace.Link]:
    """To the span that this happens in."""
    current = trace.get_current_span().get_span_context()
    return [trace.Link(current)] if current.is_valid else []


def _context(parent: str) -> Context | None:
    """The context that came from elsewhere. None: the one that this is in."""
    found = _TRACEPARENT.fullmatch(parent)
    if found is None:
        return None
    flags = TraceFlags(int(found["flags"], 16))
    came = SpanContext(int(found["trace"], 16), int(found["span"], 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(came), Context()) if came.is_valid else None


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
