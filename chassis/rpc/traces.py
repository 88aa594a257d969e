"""Traces: W3C trace context through every call and fact, and the decision which requests are traced with spans.

An unsampled call carries only its ids along, which costs next to nothing; the spans of the sampled ones are
`chassis.rpc.spans`.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from opentelemetry.trace import TracerProvider

from chassis.core import traceparent
from chassis.core.settings import RuntimeSettings
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

if TYPE_CHECKING:
    from chassis.rpc.spans import Spans


class Traces:
    """The traces of one process."""

    def __init__(self, sample_ratio: float, spans: "Spans | None") -> None:
        self._ratio = sample_ratio if spans else 0.0
        self._spans = spans

    async def serve(self, call: Call, proceed: Proceed) -> None:
        """The server interceptor: goes on with the caller's trace, or begins one."""
        call.traceparent = self._continued(str(call.metadata.get(traceparent.KEY, "")))
        traceparent.carry(call.traceparent)
        if self._spans is None or not _is_sampled(call.traceparent):
            await proceed(call)
            return
        with self._spans.server(call):
            call.traceparent = traceparent.current()
            await proceed(call)

    @contextmanager
    def call(self, name: str) -> Iterator[str]:
        """The client interceptor's part: around one outgoing call. Yields the traceparent to send along."""
        context = traceparent.current() or self._continued("")
        with self._spans.client(name, context) if self._spans and _is_sampled(context) else nullcontext():
            yield traceparent.current() or context

    def _continued(self, given: str) -> str:
        if traceparent.is_valid(given):
            return given
        flags = "01" if self._ratio and random.random() < self._ratio else "00"  # noqa: S311 — sampling, no secret
        return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-{flags}"


def traces(service: str, settings: RuntimeSettings, provider: TracerProvider | None) -> Traces:
    """As the settings say: with spans where there is an OTLP endpoint to export them to, or a provider that is given."""
    if provider is None and not settings.otlp_endpoint:
        return Traces(settings.trace_sample_ratio, None)
    from chassis.rpc import spans  # noqa: PLC0415 — its memory is spent only where it is used

    return Traces(
        settings.trace_sample_ratio, spans.Spans(provider or spans.exporting(service, settings.otlp_endpoint))
    )


def _is_sampled(context: str) -> bool:
    return int(context[-2:], 16) & 1 == 1
