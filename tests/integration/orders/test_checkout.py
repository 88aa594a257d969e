"""How an order ends, whatever its customer's card and the shelf have to say."""

import pytest

from services.orders.domain import Money, Order, OrderLine, OrderState
from services.orders.store import find, progress_after
from tests.conftest import NewDatabase
from tests.integration.orders.shop import STOCKED, Shop, fault, steps
from tradewind.orders.v1.order_events_pb2 import OrderCancelled, OrderConfirmed, OrderPlaced
from tradewind.orders.v1.order_pb2 import CancelReason
from tradewind.orders.v1.order_pb2 import OrderState as StateMessage


async def test_an_order_is_answered_at_once_and_then_confirmed(shop: Shop) -> None:
    """The customer watches the stock being held, the money being taken, and the stock leaving the shelf."""
    placed = await shop.place({shop.lantern: 3})
    responses = await shop.watch(placed.order_id)

    assert placed.state == StateMessage.ORDER_STATE_PENDING
    assert placed.total.minor_units == 750
    assert steps(responses) == [
        "PLACED",
        "STOCK_RESERVED",
        "PAYMENT_AUTHORIZED",
        "PAYMENT_CAPTURED",
        "STOCK_COMMITTED",
        "CONFIRMED",
    ]
    assert [response.progress.version for response in responses] == list(range(1, 7))
    assert [response.state for response in responses] == [StateMessage.ORDER_STATE_PENDING] * 5 + [
        StateMessage.ORDER_STATE_CONFIRMED
    ]
    assert await shop.stock() == (STOCKED - 3, 0)
    assert await shop.payment(placed.order_id) == "CAPTURED"
    assert sorted(entry.amount.minor_units for entry in await shop.ledger(placed.order_id)) == [-750, 750]


async def test_a_confirmed_order_is_told_as_two_facts(shop: Shop) -> None:
    """One when it is placed, one when it is confirmed, numbered without a gap."""
    order = await shop.ended((await shop.place()).order_id)
    facts = await shop.facts(order.order_id)

    assert [type(fact) for fact in facts] == [OrderPlaced, OrderConfirmed]
    assert [fact.aggregate_version for fact in facts if isinstance(fact, OrderPlaced | OrderConfirmed)] == [1, 2]


async def test_a_declined_order_is_undone(shop: Shop) -> None:
    """The stock goes back, no money moves, and the customer learns why."""
    placed = await shop.place(payment_token="tok_decline")
    responses = await shop.watch(placed.order_id)
    order = await shop.get(placed.order_id)
    facts = await shop.facts(placed.order_id)

    assert steps(responses) == ["PLACED", "STOCK_RESERVED", "CANCELLING", "STOCK_RELEASED", "CANCELLED"]
    assert order.cancel_reason == CancelReason.CANCEL_REASON_PAYMENT_DECLINED
    assert await shop.stock() == (STOCKED, 0)
    assert await shop.ledger(placed.order_id) == []
    assert isinstance(facts[-1], OrderCancelled)
    assert facts[-1].cancel_reason == CancelReason.CANCEL_REASON_PAYMENT_DECLINED


async def test_an_order_for_more_than_there_is_takes_nothing(shop: Shop) -> None:
    """Nothing was done, so nothing is undone."""
    placed = await shop.place({shop.lantern: STOCKED + 1})

    assert steps(await shop.watch(placed.order_id)) == ["PLACED", "CANCELLING", "CANCELLED"]
    assert (await shop.get(placed.order_id)).cancel_reason == CancelReason.CANCEL_REASON_OUT_OF_STOCK
    assert await shop.stock() == (STOCKED, 0)


@pytest.mark.parametrize("payment_token", ["tok_unavailable_once", "tok_answer_twice", "tok_timeout_after_authorize"])
async def test_a_provider_that_answers_badly_charges_once(shop: Shop, payment_token: str) -> None:
    """An answer that is lost or doubled is asked for again, not paid for again."""
    order = await shop.ended((await shop.place(payment_token=payment_token)).order_id)

    assert order.state == StateMessage.ORDER_STATE_CONFIRMED
    assert len(await shop.ledger(order.order_id)) == 2


@pytest.mark.parametrize("step", ["reserve_stock", "authorize_payment", "capture_payment"])
async def test_a_step_whose_answers_are_all_lost_is_undone_with_the_rest(
    shop: Shop, new_database: NewDatabase, step: str
) -> None:
    """It took effect, for all anybody knows: in the end nothing of it remains."""
    hasty = {"saga_patience": "2", "saga_longest_pause_seconds": "0.01"}
    async with shop.with_orders_of_its_own(new_database("orders"), **hasty) as other:
        with fault(f"checkout.{step}.after"):
            order = await other.ended((await other.place()).order_id)

    assert order.state == StateMessage.ORDER_STATE_CANCELLED
    assert order.cancel_reason == CancelReason.CANCEL_REASON_CHECKOUT_TIMED_OUT
    assert await shop.stock() == (STOCKED, 0)
    assert sum(entry.amount.minor_units for entry in await shop.ledger(order.order_id)) == 0


async def test_no_money_is_taken_for_stock_that_is_gone_meanwhile(shop: Shop, new_database: NewDatabase) -> None:
    """Reservations expire: an order that was long on its way asks again before it pays."""
    async with shop.with_orders_of_its_own(new_database("orders"), stock_trusted_seconds="0") as slow:
        with fault("checkout.capture_payment.before"):
            order_id = (await slow.place({shop.lantern: STOCKED})).order_id
            await slow.came_to(order_id, "PAYMENT_AUTHORIZED")
            await shop.expire(order_id)
            await shop.hold(1)
        order = await slow.ended(order_id)

    assert (order.state, order.cancel_reason) == (
        StateMessage.ORDER_STATE_CANCELLED,
        CancelReason.CANCEL_REASON_OUT_OF_STOCK,
    )
    assert await shop.payment(order_id) == "VOIDED"
    assert await shop.stock() == (STOCKED, 1)


async def test_stock_that_was_held_too_long_is_held_again(shop: Shop, new_database: NewDatabase) -> None:
    """Nobody else wanted it."""
    async with shop.with_orders_of_its_own(new_database("orders"), stock_trusted_seconds="0") as slow:
        with fault("checkout.capture_payment.before"):
            order_id = (await slow.place({shop.lantern: STOCKED})).order_id
            await slow.came_to(order_id, "PAYMENT_AUTHORIZED")
            await shop.expire(order_id)
        order = await slow.ended(order_id)

    assert order.state == StateMessage.ORDER_STATE_CONFIRMED
    assert await shop.stock() == (0, 0)


async def test_what_an_order_is_follows_from_what_happened_to_it(shop: Shop) -> None:
    """The projection is never anything but the sum of the events."""
    for payment_token in ("tok_approve", "tok_decline"):
        order_id = (await shop.ended((await shop.place({shop.lantern: 2}, payment_token)).order_id)).order_id
        async with shop.services["orders"].database.read() as reader:
            projected = await find(reader, order_id)
            events = await progress_after(reader, order_id, 0)
        price = Money("GBP", 250)
        assert projected is not None
        told = Order(
            order_id=order_id,
            customer_id=projected.customer_id,
            lines=(OrderLine(shop.lantern, f"One {shop.lantern}", 2, price),),
            total=Money("GBP", 500),
            placed_at=events[0].occurred_at,
            updated_at=events[0].occurred_at,
        )
        for event in events[1:]:
            told = told.after(event)
        assert told == projected
        assert told.state in {OrderState.CONFIRMED, OrderState.CANCELLED}
