"""Processes that are to die, or to fall asleep, at a place that was chosen for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import psutil

from chassis.core.failpoints import VARIABLE
from tests.waiting import until_nothing
from tools.stack.stack import Stack


@asynccontextmanager
async def armed(stack: Stack, places: Mapping[str, str], **settings: str) -> AsyncIterator["Fates"]:
    """Processes by name with their fail-points, for the block. What replaces one that died has none.

    `settings` are for those processes too.
    """
    more = {f"TRADEWIND_{name.upper()}": value for name, value in settings.items()}
    fates = Fates(stack, dict(places), {name: stack.deaths(name) for name in places})
    await _together(
        asyncio.to_thread(stack.restart, name, {**more, VARIABLE: fail_points}) for name, fail_points in places.items()
    )
    try:
        yield fates
    finally:
        survivors = [name for name, deaths in fates.deaths.items() if stack.deaths(name) == deaths]
        await _together(asyncio.to_thread(stack.restart, name) for name in survivors)
        await _together(asyncio.to_thread(stack.wait_until_healthy, name) for name in places)


@contextmanager
def frozen(stack: Stack, name: str) -> Iterator[None]:
    """A process that, with all it has started, does nothing for the block and keeps its connections."""
    process = psutil.Process(stack.pid(name))
    family = [process, *process.children(recursive=True)]
    for each in family:
        each.suspend()
    try:
        yield
    finally:
        for each in family:
            each.resume()


@dataclass(frozen=True)
class Fates:
    """What is to become of some processes."""

    stack: Stack
    places: Mapping[str, str]
    deaths: Mapping[str, int]
    """How often each had died before."""

    async def fulfilled(self) -> None:
        """Return once each has died, or fallen asleep, where it was to."""
        await until_nothing(self._outstanding)

    def wake(self) -> None:
        """Let those go on that sleep."""
        for name in self.places:
            self.stack.resume(name)

    async def _outstanding(self) -> list[str]:
        return [f"{name} is to meet its fate: {fate}" for name, fate in self.places.items() if not self._is_met(name)]

    def _is_met(self, name: str) -> bool:
        place, _, action = self.places[name].rpartition(",")[2].partition("=")
        is_met = {"pause": self._is_asleep, "kill": self._has_died}[action](name)
        return is_met and f'"name":"{place}","action":"{action}"' in self.stack.directory.log(name).read_text()

    def _has_died(self, name: str) -> bool:
        return self.stack.deaths(name) > self.deaths[name]

    def _is_asleep(self, name: str) -> bool:
        pid = self.stack.pid(name)
        return pid is not None and psutil.Process(pid).status() == psutil.STATUS_STOPPED


async def _together(works: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*works)
