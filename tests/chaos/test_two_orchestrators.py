"""Orchestrators that fall silent for longer than they are believed in, and wake when others have done their work."""

import pytest

from tests.chaos.fates import Fates, armed
from tests.chaos.market import Market
from tests.chaos.places import on_the_way
from tests.waiting import until_nothing

SLEEPERS = ("orders", "orders-2")


@pytest.mark.parametrize("step", on_the_way())
async def test_who_slept_through_a_lease_changes_nothing(market: Market, step: str) -> None:
    """Two processes stop after the step's effect and before they record it. The third ends all their orders.

    Awake again they find that they have lost them: what they meant to write is fenced off.
    """
    async with armed(market.stack, dict.fromkeys(SLEEPERS, f"{step}.after=pause")) as fates:
        orders = [await market.place(at=sleeper) for sleeper in SLEEPERS]
        await fates.fulfilled()
        await market.end()
        lost_before = {name: _losses(market, name) for name in SLEEPERS}
        await until_nothing(lambda: _still_dreaming(market, fates, lost_before))
        assert await market.come_to_rest() == dict.fromkeys(orders, "CONFIRMED")


async def test_two_orchestrators_take_over_from_each_other(market: Market) -> None:
    """One is stopped in the middle of its orders and the other ends them; then the other way round."""
    for sleeper in SLEEPERS:
        await market.orders(6, sleeper)
        market.stack.pause(sleeper)
        await market.end()
        market.stack.resume(sleeper)
    assert set((await market.come_to_rest()).values()) == {"CONFIRMED"}


def _losses(market: Market, process: str) -> int:
    """How many sagas a process has lost so far."""
    return market.stack.directory.log(process).read_text().count('"event":"saga_lost"')


async def _still_dreaming(market: Market, fates: Fates, lost_before: dict[str, int]) -> list[str]:
    """Wake them, again if the fail-point has put them to sleep again: who has yet to notice that it has lost its order."""
    fates.wake()
    return [f"{name} has noticed no loss" for name, losses in lost_before.items() if _losses(market, name) == losses]
