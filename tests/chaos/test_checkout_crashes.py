"""Checkouts whose process is killed at every edge of every step, on the way and on the way back."""

import pytest

from tests.chaos.fates import armed
from tests.chaos.market import ORCHESTRATORS, Market
from tests.chaos.places import edges, lost_answers, on_the_way, on_the_way_back


@pytest.mark.parametrize("step", on_the_way())
async def test_orders_survive_their_process_on_their_way(market: Market, step: str) -> None:
    """Each of three processes dies at an edge of the step: what becomes of the orders is what would have anyway."""
    places = dict(zip(ORCHESTRATORS, (f"{edge}=kill" for edge in edges(step)), strict=True))
    async with armed(market.stack, places) as fates:
        crowd = await market.crowd(*ORCHESTRATORS)
        await fates.fulfilled()
        assert crowd.came_out_well(await market.come_to_rest())


@pytest.mark.parametrize("undo", on_the_way_back())
async def test_orders_survive_their_process_on_their_way_back(market: Market, undo: str) -> None:
    """The answer of the pivot is lost, so all is undone, and each of three processes dies at an edge of that."""
    lost = lost_answers()[-1]
    places = dict(zip(ORCHESTRATORS, (f"{lost},{edge}=kill" for edge in edges(undo)), strict=True))
    async with armed(market.stack, places, saga_patience="1") as fates:
        await market.orders(3, *ORCHESTRATORS)
        await fates.fulfilled()
        states = await market.come_to_rest()
    assert "CANCELLED" in states.values()
