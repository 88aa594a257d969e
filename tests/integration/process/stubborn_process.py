"""A process one of whose works never lets go."""

import asyncio
from contextlib import suppress

from chassis.core import background
from chassis.process.server import Runtime, Service, serve


async def hold_on() -> None:
    """Wait for ever, whatever is said."""
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


def service(_: Runtime) -> Service:
    """Nothing to call."""
    return Service(servicers={}, background=[hold_on])


if __name__ == "__main__":
    background._CANCEL_AGAIN_SECONDS = background._LEAVE_SECONDS = 0.1  # where a service waits for seconds
    serve("tools.stack.fakes.provider", service)
