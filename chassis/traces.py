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
from opentelemetry.context import attach, detach
from opentelemetry.instrumentation.grpc import client_interceptor, server_interceptor
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis import traceparent
from chassis.call import Call
from chassis.errors import Kind, Problem
from chassis.interceptors import Proceed

TRACEPARENT_KEY = "traceparent"
_TRACEPARENT_LENGTH = 55
_W3C = TraceContextTextMapPropagator()


class Traces:
    """Decides which requests are traced, and opens their spans. Without a provider it only passes ids along."""

    def __init__(self, sample_ratio: float, provider: trace.TracerProvider | None) -> None:
        self._ratio = sample_ratio if provider else 0.0
        given = provider or trace.NoOpTracerProvider()
        self._server: Any = server_interceptor(given)  # type: ignore[no-untyped-call]  # the package has no types
        self._client: Any = client_interceptor(given)  # type: ignore[no-untyped-call]  # as above

    async def serve(self, call: Call, proceed: Proceed) -> None:
        """The server interceptor: goes on with the caller's trace, or begins one."""
        call.traceparent = self._continued(str(call.metadata.get(TRACEPARENT_KEY, "")))
        traceparent.carry(call.traceparent)
        if not _is_sampled(call.traceparent):
            await proceed(call)
            return
        with self._server_span(call) as span:
            call.traceparent = traceparent.current()
            try:
                await proceed(call)
            finally:
                _record(span, call.code, call.problem)

    @contextmanager
    def call(self, name: str) -> Iterator[str]:
        """The client interceptor's part: a span around one outgoing call. Yields the traceparent to send along."""
        context = traceparent.current() or self._continued("")
        if not _is_sampled(context):
            yield context
            return
        with self._client_span(name, context):
            yield traceparent.current()

    def _continued(self, given: str) -> str:
        if len(given) == _TRACEPARENT_LENGTH and given.count("-") == 3:
            return given
        flags = "01" if self._ratio and random.random() < self._ratio else "00"  # noqa: S311 — sampling, no secret
        return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-{flags}"

    @contextmanager
    def _server_span(self, call: Call) -> Iterator[trace.Span]:
        details = _Details(call.method.path)
        with self._server._set_remote_context(call.context):  # noqa: SLF001 — the package offers no public way
            span: AbstractContextManager[trace.Span] = self._server._start_span(details, call.context)  # noqa: SLF001
            with span as opened:
                yield opened

    @contextmanager
    def _client_span(self, name: str, parent: str) -> Iterator[trace.Span]:
        # A context that is only carried has no open span that would be found as the parent.
        token = attach(_W3C.extract({TRACEPARENT_KEY: parent}))
        try:
            opened: AbstractContextManager[trace.Span] = self._client._start_span(name)  # noqa: SLF001 — as above
            with opened as span:
                try:
                    yield span
                except Problem as problem:
                    _record(span, None, problem)
                    raise
        finally:
            detach(token)


@dataclass(frozen=True)
class _Details:
    """What the package's interceptor wants to know of a call."""

    method: str


def _is_sampled(context: str) -> bool:
    return context.endswith("1")


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
    # ruff: noqa: PLC0415 — the SDK costs memory, and most processes on a developer's machine export nothing
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "tradewind"}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    return made
