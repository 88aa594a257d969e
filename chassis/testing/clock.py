"""A clock that stands still until it is told to move."""

import asyncio
from datetime import UTC, datetime, timedelta


class ManualClock:
    """Starts at noon on the first of January 2026, UTC."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._moved = asyncio.Condition()

    def now(self) -> datetime:
        """The time it was set to."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Returns once the clock was moved so far."""
        until = self._now + timedelta(seconds=seconds)
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= until)

    async def advance(self, seconds: float) -> None:
        """Moves the clock, and lets those who slept until then go on."""
        async with self._moved:
            self._now += timedelta(seconds=seconds)
            self._moved.notify_all()
