"""OpenTelemetry's spans around sampled calls. Imported only where spans go somewhere: the package costs a process 3 MiB.

They are begun by opentelemetry-instrumentation-grpc's interceptors, so that their names and attributes are the
conventional ones; they are ended here, since those interceptors leave the span of a cancelled call open and record a
crash as OK.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import client_interceptor, server_interceptor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Status, StatusCode, TracerProvider
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


@dataclass(frozen=True)
class _Details:
    """What the package's interceptor wants to know of a call."""

    method: str


class Spans:
    """Opens a span, and closes it however the block ends."""

    def __init__(self, provider: TracerProvider) -> None:
        self._server: Any = server_interceptor(provider)  # type: ignore[no-untyped-call]  # the package has no types
        self._client: Any = client_interceptor(provider)  # type: ignore[no-untyped-call]  # as above

    @contextmanager
    def server(self, call: Call) -> Iterator[None]:
        """Around a call that is served, in the trace of its caller."""
        details = _Details(call.method.path)
        with self._server._set_remote_context(call.context):  # noqa: SLF001 — the package offers no public way
            opened: AbstractContextManager[Span] = self._server._start_span(details, call.context)  # noqa: SLF001
            with opened as span:
                try:
                    yield
                finally:
                    _record(span, call.code.value[0], call.problem)

    @contextmanager
    def client(self, name: str, parent: str) -> Iterator[None]:
        """Around a call that is made, in the trace of `parent`, a W3C traceparent."""
        # A context that is only carried has no open span that would be found as the parent.
        token = attach(_W3C.extract({traceparent.KEY: parent}))
        try:
            opened: AbstractContextManager[Span] = self._client._start_span(name)  # noqa: SLF001 — as above
            with opened as span:
                try:
                    yield
                except Problem as problem:
                    _record(span, problem.kind.value, problem)
                    raise
                except asyncio.CancelledError:
                    _record(span, Kind.CANCELLED.value, None)
                    raise
        finally:
            detach(token)


def _record(span: Span, code: int, problem: Problem | None) -> None:
    span.set_attribute("rpc.grpc.status_code", code)
    if problem is not None and problem.kind in _ERRORS:
        span.set_status(Status(StatusCode.ERROR, problem.reason))
    elif code == grpc.StatusCode.CANCELLED.value[0]:
        span.set_status(Status(StatusCode.ERROR, "CANCELLED"))
