"""A keyed executor: bounded concurrency, and whatever has the same key one after another, in the order it came."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from zlib import crc32

T = TypeVar("T")


class KeyedExecutor(Generic[T]):
    """A fixed number of queues, each with one worker."""

    def __init__(self, count: int, work: Callable[[T], Awaitable[None]]) -> None:
        self._work = work
        self._queues: list[asyncio.Queue[T | None]] = [asyncio.Queue() for _ in range(count)]
        self._waiting = 0
        self._less = asyncio.Event()
        self._workers = [asyncio.create_task(self._drive(queue)) for queue in self._queues]

    def put(self, key: str, item: T) -> None:
        """Have the work done, after all that was put under the same key."""
        self._waiting += 1
        self._queues[crc32(key.encode()) % len(self._queues)].put_nowait(item)

    async def room(self, limit: int) -> int:
        """Backpressure: how many items may still come, once there is room for half of `limit`."""
        while self._waiting > limit // 2:
            self._less.clear()
            await self._less.wait()
        return limit - self._waiting

    async def close(self) -> list[T]:
        """Let each worker finish what it is at; return what nobody has begun."""
        left = [item for queue in self._queues for item in _emptied(queue)]
        for queue in self._queues:
            queue.put_nowait(None)
        await asyncio.gather(*self._workers)
        return left

    async def _drive(self, queue: asyncio.Queue[T | None]) -> None:
        while (item := await queue.get()) is not None:
            await self._work(item)
            self._waiting -= 1
            self._less.set()


def _emptied(queue: asyncio.Queue[T | None]) -> list[T]:
    items = []
    while not queue.empty():
        item = queue.get_nowait()
        if item is not None:
            items.append(item)
    return items
