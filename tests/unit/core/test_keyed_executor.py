"""What a keyed executor promises: side by side, and yet in order for each key."""

import asyncio
from collections import defaultdict

from chassis.core.keyed_executor import KeyedExecutor


async def test_one_key_s_work_is_done_in_its_order() -> None:
    """Whatever else is going on."""
    done: dict[str, list[int]] = defaultdict(list)

    async def work(item: tuple[str, int]) -> None:
        key, number = item
        for _ in range((number * 7) % 3):
            await asyncio.sleep(0)
        done[key].append(number)

    executor = KeyedExecutor(4, work)
    for number in range(50):
        for key in "abcdef":
            executor.put(key, (key, number))
    assert await executor.room(1) == 1
    await executor.close()
    assert done == {key: list(range(50)) for key in "abcdef"}


async def test_different_keys_do_not_wait_for_each_other() -> None:
    """As long as they are not of one worker."""
    go_on, seen = asyncio.Event(), asyncio.Event()

    async def work(key: str) -> None:
        if key == "slow":
            await go_on.wait()
        else:
            seen.set()

    executor = KeyedExecutor(64, work)
    executor.put("slow", "slow")
    executor.put("fast", "fast")
    await seen.wait()
    go_on.set()
    await executor.close()


async def test_closing_finishes_what_was_begun_and_returns_the_rest() -> None:
    """Nothing is dropped, and nothing new is begun."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def work(number: int) -> None:
        begun.set()
        await go_on.wait()
        done.append(number)

    executor = KeyedExecutor(1, work)
    for number in range(3):
        executor.put("key", number)
    await begun.wait()
    closing = asyncio.create_task(executor.close())
    go_on.set()
    assert await closing == [1, 2]
    assert done == [0]


async def test_there_is_room_again_once_half_is_done() -> None:
    """So that asking for more is worth its while."""
    steps = asyncio.Semaphore(0)

    async def work(_: int) -> None:
        await steps.acquire()

    executor = KeyedExecutor(1, work)
    for number in range(4):
        executor.put("key", number)
    room = asyncio.ensure_future(executor.room(4))
    await asyncio.sleep(0)
    assert not room.done()
    steps.release()
    steps.release()
    assert await room == 2
    steps.release()
    steps.release()
    await executor.close()
