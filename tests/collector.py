"""A collector of spans on loopback: OTLP over HTTP, and nothing kept but what came.

with Collector() as collector:
    …
    collector.spans()
"""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.notify.receiver import Endpoint


class Collector(Endpoint):
    """Listens while it is entered; `url` is where spans are to be sent."""

    def spans(self) -> list[str]:
        """What came so far: each by its name and the id of its trace."""
        return [
            f"{span.name} {span.trace_id.hex()}"
            for taken in self._exports()
            for resource in taken.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> str:
        """What all spans have in common."""
        return str(self._exports()[0].resource_spans[0].resource.attributes)

    def _exports(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(post.body) for post in self.taken]
