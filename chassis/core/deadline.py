"""Deadline propagation: how long the work at hand may still take. Deadlines only shrink on their way down."""

import asyncio
import time
from contextvars import ContextVar
from types import TracebackType

from chassis.core import errors

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


class timeout:  # noqa: N801 — read as asyncio.timeout is: `async with deadline.timeout(2.0)`
    """Ends the work inside with DeadlineExceeded after `seconds`, or sooner if an outer bound is tighter."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> None:
        now = time.monotonic()
        outer = _ends_at.get()
        ends_at = now + self._seconds if outer is None else min(outer, now + self._seconds)
        self._outer = _ends_at.set(ends_at)
        self._timer = asyncio.timeout(ends_at - now)
        await self._timer.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _ends_at.reset(self._outer)
        try:
            await self._timer.__aexit__(kind, raised, traceback)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"not done within {self._seconds:.3f} s; whether it took effect is unknown"
            ) from None
