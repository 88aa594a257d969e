"""The W3C trace context of the work at hand: it passes from calls into facts, and from facts into what they cause."""

import re
from contextvars import ContextVar

from opentelemetry import trace

KEY = "traceparent"
_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_carried: ContextVar[str] = ContextVar("traceparent", default="")


def is_valid(given: str) -> bool:
    """Whether it is one. What strangers send goes into logs, into facts and on to peers."""
    return _FORM.fullmatch(given) is not None


def carry(traceparent: str) -> None:
    """Go on, in this task, under a context that came from elsewhere and has no span of its own here; under none, if it is none."""
    _carried.set(traceparent if is_valid(traceparent) else "")


def current() -> str:
    """That of the open span; without one, the context carried; empty when there is neither."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return _carried.get()
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
