"""How background work is ended."""

import asyncio

import pytest
from structlog.testing import capture_logs

from chassis.core import background
from chassis.core.background import Background, uninterrupted


class Stubborn:
    """Work that lets go when it has been cancelled so often, or may."""

    def __init__(self, cancellations: int) -> None:
        self._left = cancellations
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> None:
        """Wait, whatever is said."""
        self.has_begun.set()
        while self._left:
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self._left -= 1
            else:
                return


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instant, where a process waits for seconds."""
    for name in ("_CANCEL_AGAIN_SECONDS", "_LEAVE_SECONDS"):
        monkeypatch.setattr(background, name, 0.01, raising=False)


async def test_work_that_loses_a_cancellation_is_given_another() -> None:
    """As `wait_for` does before Python 3.12."""
    work, works = Stubborn(cancellations=2), Background()
    works.start([work])
    await work.has_begun.wait()
    with capture_logs() as logged:
        await works.stop()
    assert not works.is_running
    assert logged == []


async def test_work_that_never_lets_go_is_named_and_left() -> None:
    """One bad work must not keep a process from ending, nor the others from being waited for."""
    bad, good, works = Stubborn(cancellations=1_000), Stubborn(cancellations=1), Background()
    works.start([bad, good])
    await bad.has_begun.wait()
    await good.has_begun.wait()
    try:
        with capture_logs() as logged:
            async with asyncio.timeout(5):
                await works.stop()
        assert works.is_running
        assert [(line["event"], line["work"]) for line in logged] == [("background_left", "Stubborn")]
    finally:
        bad.may_end.set()


async def test_who_is_cancelled_while_it_ends_is_so_when_it_has_ended() -> None:
    """Or a work that has just failed would begin again, in a process that is told to stop."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def end() -> None:
        has_begun.set()
        await may_end.wait()
        ended.append("properly")

    work = asyncio.create_task(uninterrupted(end()))
    await has_begun.wait()
    work.cancel()
    await asyncio.sleep(0)
    work.cancel()
    may_end.set()
    await asyncio.wait([work])
    assert ended == ["properly"]
    assert work.cancelled()
