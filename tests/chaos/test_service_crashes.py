"""Orders on their way through services that are killed between a commit and what must follow it."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import zip_longest

import pytest

from chassis.core import errors
from tests.chaos.fates import armed
from tests.chaos.market import ORCHESTRATORS, Market
from tests.chaos.places import (
    CONSUMER,
    RELAY,
    SENDER,
    answers_of_the_provider,
    calls_on_the_way,
    calls_on_the_way_back,
    lost_answers,
    replies_of,
)
from tools.stack.fakes.provider.domain import Card

COUNTER = ORCHESTRATORS[-1]


def rounds(**victims: Iterable[str]) -> list[dict[str, str]]:
    """Places to die at, one for each victim in each round, as long as it has any left."""
    return [
        {victim.replace("_", "-"): f"{place}=kill" for victim, place in zip(victims, places, strict=True) if place}
        for places in zip_longest(*victims.values())
    ]


FORTH = rounds(
    payments=[*replies_of("payments", calls_on_the_way()), *answers_of_the_provider(calls_on_the_way())],
    inventory=[*replies_of("inventory", calls_on_the_way()), *RELAY],
    notifications=[*CONSUMER, *SENDER],
    orders_3=["tradewind.orders.v1.OrderService/PlaceOrder.reply"],
)
BACK = rounds(
    payments=[*replies_of("payments", calls_on_the_way_back()), *answers_of_the_provider(calls_on_the_way_back())],
    inventory=replies_of("inventory", calls_on_the_way_back()),
    orders_3=["tradewind.orders.v1.OrderService/CancelOrder.reply"],
)


@pytest.mark.parametrize("deaths", FORTH, ids=lambda deaths: deaths["payments"])
async def test_orders_survive_the_services_on_their_way(market: Market, deaths: dict[str, str]) -> None:
    """Several services die, each at a place of its own: what becomes of the orders is what would have anyway."""
    async with armed(market.stack, deaths) as fates:
        crowd = await market.crowd(*ORCHESTRATORS)
        await fates.fulfilled()
        assert crowd.came_out_well(await market.come_to_rest())


@pytest.mark.parametrize("deaths", BACK, ids=lambda deaths: deaths["payments"])
async def test_orders_survive_the_services_on_their_way_back(market: Market, deaths: dict[str, str]) -> None:
    """Orders are undone for want of an answer, after a hold and after a capture, and for their customer's wish."""
    hold, capture = lost_answers()[-2:]
    undoing = dict(zip(ORCHESTRATORS, (hold, capture), strict=False))
    async with armed(market.stack, undoing, saga_patience="1"), armed(market.stack, deaths) as fates:
        orders = await market.orders(3, *undoing)
        regretted = await market.place(card=Card.TIMEOUT_AFTER_AUTHORIZE, at=COUNTER)
        with suppress(errors.FailedPrecondition):  # On a slow day the regret comes too late.
            await market.cancel(regretted, at=COUNTER)
        await fates.fulfilled()
        states = await market.come_to_rest()
    assert "CANCELLED" in [states[order_id] for order_id in orders]
