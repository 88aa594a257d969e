"""The one place where this suite waits: for what lies in other processes, and never longer than it may take."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import grpc

from chassis.contract import status

LONGEST_SECONDS = 90.0
LOOK_AGAIN_SECONDS = 0.1

T = TypeVar("T")


async def until_nothing(outstanding: Callable[[], Awaitable[Sequence[str]]]) -> None:
    """Return once nothing is outstanding. Fails with what still is when that takes too long."""
    left: Sequence[str] = ["nothing was looked at"]
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            while left := await outstanding():  # noqa: ASYNC110 — what it waits for lies in other processes
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
    except TimeoutError:
        raise AssertionError(f"after {LONGEST_SECONDS:.0f} s still:\n" + "\n".join(left)) from None


async def insisted(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, whoever is killed meanwhile: asks the same again until there is one. A refusal is raised."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while True:
            try:
                return await ask()
            except grpc.aio.AioRpcError as error:
                problem = status.from_rpc_error(error)
                if not problem.is_transient:
                    raise problem from None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
