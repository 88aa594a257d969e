"""Waiting for something that may never happen."""

import asyncio
from contextlib import suppress


async def until_set(event: asyncio.Event, seconds: float) -> None:
    """Returns when the event is set, or after so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
