"""Giving way to other tasks."""

import asyncio


async def passing(turns: int) -> None:
    """Return when every other task has had so many turns."""
    for _ in range(turns):
        await asyncio.sleep(0)
