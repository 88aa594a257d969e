"""OpenTelemetry's spans around sampled calls. Imported only where spans go somewhere: the SDK costs a process memory.

Their names and attributes are those of the semantic conventions for gRPC; why they are not made by
opentelemetry-instrumentation-grpc is told in docs/adr/0020-spans.md.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.core import traceparent
from chassis.core.errors import Kind, Problem
from chassis.rpc.call import Call

_W3C = TraceContextTextMapPropagator()
_ERRORS = (Kind.INTERNAL, Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)


def exporting(service: str, endpoint: str) -> TracerProvider:
    """A provider that exports to an OTLP collector."""
    made = SdkTracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "tradewind"}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    return made


class Spans:
    """Opens a span, and closes it however the block ends."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("chassis.rpc")

    @contextmanager
    def server(self, call: Call) -> Iterator[None]:
        """Around a call that is served, in the trace of its caller."""
        # Not of `call.traceparent`: without a caller's it was made here, and nobody has a span of that id.
        parent = str(call.metadata.get(traceparent.KEY, ""))
        with self._open(call.method.path, SpanKind.SERVER, parent) as span:
            try:
                yield
            finally:
                _record(span, call.code.value[0], call.problem)

    @contextmanager
    def client(self, name: str, parent: str) -> Iterator[None]:
        """Around a call that is made, in the trace of `parent`, a W3C traceparent."""
        with self._open(name, SpanKind.CLIENT, parent) as span:
            try:
                yield
            except Problem as problem:
                _record(span, problem.kind.value, problem)
                raise
            except asyncio.CancelledError:
                _record(span, Kind.CANCELLED.value, None)
                raise
            _record(span, grpc.StatusCode.OK.value[0], None)

    def _open(self, path: str, kind: SpanKind, parent: str) -> AbstractContextManager[Span]:
        name = path.removeprefix("/")
        service, _, method = name.rpartition("/")
        return self._tracer.start_as_current_span(
            name,
            context=_W3C.extract({traceparent.KEY: parent}),
            kind=kind,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
            # An exception's text may hold what a customer sent.
            record_exception=False,
            set_status_on_exception=False,
        )


def _record(span: Span, code: int, problem: Problem | None) -> None:
    span.set_attribute("rpc.grpc.status_code", code)
    if problem is not None and problem.kind in _ERRORS:
        span.set_status(Status(StatusCode.ERROR, problem.reason))
    elif code == grpc.StatusCode.CANCELLED.value[0]:
        span.set_status(Status(StatusCode.ERROR, "CANCELLED"))
