"""A provider that declines, keeps silent after it has charged, answers twice or not at all, and dies."""

import asyncio

from tests.chaos.market import Market
from tools.stack.fakes.provider.domain import Card


async def test_every_card_is_charged_once_or_declined(market: Market) -> None:
    """Whatever its misfortune, a card that is good for the amount pays for its order, once."""
    orders = {await market.place(card=card): card for card in Card for _ in range(2)}
    states = await market.come_to_rest()
    assert states == {order_id: "CANCELLED" if card.decline_code else "CONFIRMED" for order_id, card in orders.items()}


async def test_a_provider_that_dies_in_its_silence_has_charged_once(market: Market) -> None:
    """It has taken the money, tells nobody, and is killed."""
    cards = (Card.TIMEOUT_AFTER_AUTHORIZE, Card.TIMEOUT_AFTER_CAPTURE)
    orders = await asyncio.gather(*(market.place(card=card) for card in cards for _ in range(3)))
    await asyncio.to_thread(market.stack.kill, "provider")
    states = await market.come_to_rest()
    assert states == dict.fromkeys(orders, "CONFIRMED")
