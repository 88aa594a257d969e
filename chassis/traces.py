"""Traces: W3C trace context through every call and fact; spans, by OpenTelemetry, for the sampled ones alone.

The spans are begun by opentelemetry-instrumentation-grpc's interceptors, so that their names and attributes are the
conventional ones; they are ended here, since those interceptors leave the span of a cancelled call open and record a
crash as OK. An unsampled call carries only its ids along, which costs next to nothing.
"""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import OpenTelemetryClientInterceptor, OpenTelemetryServerInterceptor
from opentelemetry.trace import Status, StatusCode

from chassis import call as calls
from chassis.call import Call
from chassis.errors import Kind, Problem
from chassis.interceptors import Proceed

TRACEPARENT_KEY = "traceparent"
_TRACEPARENT_LENGTH = 55


class Traces:
    """Decides which requests are traced, and opens their spans. Without a provider it only passes ids along."""

    def __init__(self, sample_ratio: float, provider: trace.TracerProvider | None) -> None:
        self._ratio = sample_ratio if provider else 0.0
        tracer = provider.get_tracer("tradewind.chassis") if provider else trace.NoOpTracer()
        self._server: Any = OpenTelemetryServerInterceptor(tracer)
        self._client: Any = OpenTelemetryClientInterceptor(tracer)

    async def serve(self, call: Call, proceed: Proceed) -> None:
        """The server interceptor: goes on with the caller's trace, or begins one."""
        call.traceparent = self._continued(str(call.metadata.get(TRACEPARENT_KEY, "")))
        if not _is_sampled(call.traceparent):
            await proceed(call)
            return
        with self._server_span(call) as span:
            call.traceparent = _traceparent(span)
            try:
                await proceed(call)
            finally:
                _record(span, call.code, call.problem)

    @contextmanager
    def call(self, name: str) -> Iterator[str]:
        """The client interceptor's part: a span around one outgoing call. Yields the traceparent to send along."""
        traceparent = current_traceparent() or self._continued("")
        if not _is_sampled(traceparent):
            yield traceparent
            return
        with self._client_span(name) as span:
            yield _traceparent(span)

    def _continued(self, given: str) -> str:
        if len(given) == _TRACEPARENT_LENGTH and given.count("-") == 3:  # noqa: PLR2004 — version, trace, span, flags
            return given
        flags = "01" if self._ratio and random.random() < self._ratio else "00"  # noqa: S311 — sampling, no secret
        return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-{flags}"  # noqa: S311 — an id, no secret

    @contextmanager
    def _server_span(self, call: Call) -> Iterator[trace.Span]:
        details = _Details(call.method.path)
        with self._server._set_remote_context(call.context):  # noqa: SLF001 — the package offers no public way
            span: AbstractContextManager[trace.Span] = self._server._start_span(details, call.context)  # noqa: SLF001
            with span as opened:
                yield opened

    @contextmanager
    def _client_span(self, name: str) -> Iterator[trace.Span]:
        opened: AbstractContextManager[trace.Span] = self._client._start_span(name)  # noqa: SLF001 — as above
        with opened as span:
            try:
                yield span
            except Problem as problem:
                _record(span, None, problem)
                raise


@dataclass(frozen=True)
class _Details:
    """What the package's interceptor wants to know of a call."""

    method: str


def current_traceparent() -> str:
    """The trace context of the work at hand, in its W3C form; empty when there is none."""
    span = trace.get_current_span()
    if span.get_span_context().is_valid:
        return _traceparent(span)
    call = calls.current()
    return call.traceparent if call else ""


def _is_sampled(traceparent: str) -> bool:
    return traceparent.endswith("1")


def _traceparent(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _record(span: trace.Span, code: grpc.StatusCode | None, problem: Problem | None) -> None:
    number = problem.kind.value if problem else code.value[0] if code else 0
    span.set_attribute("rpc.grpc.status_code", number)
    if problem is not None and problem.kind in (Kind.INTERNAL, Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED):
        span.set_status(Status(StatusCode.ERROR, problem.reason))
    elif number == grpc.StatusCode.CANCELLED.value[0]:
        span.set_status(Status(StatusCode.ERROR, "CANCELLED"))


def provider(service: str, endpoint: str) -> trace.TracerProvider | None:
    """A provider that exports to an OTLP collector; None without an endpoint, and then OpenTelemetry's SDK is not loaded."""
    if not endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "tradewind"}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    return made
