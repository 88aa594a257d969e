"""Work that goes on as long as the process does: started again when it fails, with exponential backoff."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from chassis.core import logs

log = logs.logger(__name__)

Work = Callable[[], Awaitable[None]]

_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 10.0
# Longer than any of them takes to finish what it has begun: a second cancellation would cut that short.
_CANCEL_AGAIN_SECONDS = 8.0
_LEAVE_SECONDS = 2.0


class Background:
    """A set of tasks that are kept running."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, works: Iterable[Work]) -> None:
        """Keeps each of them running."""
        self._tasks += [asyncio.create_task(_kept_running(work), name=_name(work)) for work in works]

    @property
    def is_running(self) -> bool:
        """Whether any of them is at work: also after `stop`, when one would not let go."""
        return any(not task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Cancels them until they have let go. One that never does is named in the log, and left."""
        # Once may not be enough: before Python 3.12, `wait_for` loses a cancellation that meets its result.
        for seconds in (_CANCEL_AGAIN_SECONDS, _LEAVE_SECONDS):
            if running := [task for task in self._tasks if not task.done()]:
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=seconds)
        self._tasks = [task for task in self._tasks if not task.done()]
        for task in self._tasks:
            log.error("background_left", work=task.get_name())


async def uninterrupted(ending: Coroutine[None, None, None]) -> None:
    """Waits until what has to be done at the end of a work is done; if the work is cancelled meanwhile, it is so after that."""
    task = asyncio.create_task(ending)
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    task.result()
    if cancelled:
        raise cancelled


async def _kept_running(work: Work) -> None:
    delay = _FIRST_DELAY_SECONDS
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await work()
        except Exception:  # an outermost loop: it logs and goes on
            log.exception("background_failed", work=_name(work), retry_in=delay)
        else:
            return
        if asyncio.get_running_loop().time() - began > _LONGEST_DELAY_SECONDS:
            delay = _FIRST_DELAY_SECONDS
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY_SECONDS)


def _name(work: Work) -> str:
    return getattr(work, "__qualname__", type(work).__name__)
