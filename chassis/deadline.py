"""How long the work at hand may still take. Deadlines only shrink on their way down."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from chassis import errors

# Kept back from every outgoing call, so that its failure can still be told to the caller in time.
MARGIN_SECONDS = 0.005

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)


def remaining() -> float | None:
    """Seconds left, perhaps below zero; None when nothing bounds the work."""
    ends_at = _ends_at.get()
    return None if ends_at is None else ends_at - time.monotonic()


def shrunk(seconds: float) -> float:
    """`seconds`, or what is left of the deadline less a margin if that is less. Raises DeadlineExceeded when nothing is."""
    left = remaining()
    if left is None:
        return seconds
    if left <= MARGIN_SECONDS:
        raise errors.DeadlineExceeded("no time is left for a further call")
    return min(seconds, left - MARGIN_SECONDS)


def shrink_to(seconds: float) -> None:
    """Notes, for the rest of this task, a deadline that somebody else enforces."""
    _ends_at.set(time.monotonic() + seconds)


@asynccontextmanager
async def bound(seconds: float) -> AsyncIterator[None]:
    """Ends the work inside with DeadlineExceeded after `seconds`, or sooner if an outer bound is tighter."""
    outer = _ends_at.get()
    ends_at = time.monotonic() + seconds
    if outer is not None and outer < ends_at:
        ends_at = outer
    token = _ends_at.set(ends_at)
    timer = asyncio.timeout(ends_at - time.monotonic())
    try:
        async with timer:
            yield
    except TimeoutError:
        if not timer.expired():
            raise
        raise errors.DeadlineExceeded(f"not done within {seconds:.3f} s; whether it took effect is unknown") from None
    finally:
        _ends_at.reset(token)
