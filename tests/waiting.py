"""Every wait of the suite: each for something, and for so long at most."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from chassis.contract import status

LOOK_AGAIN_SECONDS = 0.05

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 20.0) -> T:
    """What `look` finds, once it finds something. Raises TimeoutError if it never does.

    For what announces itself to nobody, because it lies in another process.
    """
    async with asyncio.timeout(seconds):
        while not (found := await look()):  # noqa: ASYNC110 — nobody here could set an event
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return found


async def until_nothing(outstanding: Callable[[], Awaitable[Sequence[str]]], seconds: float = 90.0) -> None:
    """Return once nothing is outstanding. Fails with what still is when that takes too long."""
    left: Sequence[str] = ["nothing was looked at"]
    try:
        async with asyncio.timeout(seconds):
            while left := await outstanding():  # noqa: ASYNC110 — as above
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
    except TimeoutError:
        raise AssertionError(f"after {seconds:.0f} s still:\n" + "\n".join(left)) from None


async def insisted(ask: Callable[[], Awaitable[T]], seconds: float = 90.0) -> T:
    """The answer, whoever is killed meanwhile: asks the same again until there is one. A refusal is raised."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await ask()
            except grpc.aio.AioRpcError as error:
                problem = status.from_rpc_error(error)
                if not problem.is_transient:
                    raise problem from None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def passing(turns: int) -> None:
    """Return when every other task has had so many turns."""
    for _ in range(turns):
        await asyncio.sleep(0)
