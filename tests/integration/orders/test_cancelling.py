"""Until when an order can be undone, and what becomes of it."""

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.orders.shop import STOCKED, Shop, fault, new_id, steps
from tradewind.orders.v1 import order_service_pb2 as pb
from tradewind.orders.v1.order_pb2 import ORDER_STATE_CANCELLED, ORDER_STATE_PENDING, CancelReason


def cancellation(order_id: str) -> pb.CancelOrderRequest:
    """The request to undo an order."""
    return pb.CancelOrderRequest(request_id=new_id(), order_id=order_id)


async def came_to(shop: Shop, step: str) -> str:
    """An order that was placed and came to that step; to be used while the next one cannot be done."""
    order_id = (await shop.place()).order_id
    await shop.came_to(order_id, step)
    return order_id


async def test_an_order_is_undone_at_its_customers_wish(shop: Shop) -> None:
    """What is held is given back, and the step that could not be done is barred for good."""
    with fault("checkout.authorize_payment.before"):
        order_id = await came_to(shop, "STOCK_RESERVED")
        answer = await shop.customer().CancelOrder(cancellation(order_id))
        responses = await shop.watch(order_id)

    assert answer.order.state == ORDER_STATE_PENDING
    assert steps(responses)[2:] == ["CANCELLING", "PAYMENT_VOIDED", "STOCK_RELEASED", "CANCELLED"]
    assert (await shop.get(order_id)).cancel_reason == CancelReason.CANCEL_REASON_CANCELLED_BY_CUSTOMER
    assert await shop.stock() == (STOCKED, 0)
    assert await shop.payment(order_id) == "VOIDED"


async def test_staff_can_undo_a_customers_order(shop: Shop) -> None:
    """The reason says that it was not the customer, and the saga's story who it was."""
    with fault("checkout.reserve_stock.before"):
        order_id = await came_to(shop, "PLACED")
        await shop.staff().CancelOrder(cancellation(order_id))
        order = await shop.ended(order_id)

    assert order.cancel_reason == CancelReason.CANCEL_REASON_CANCELLED_BY_STAFF
    assert any("cancelled at reserve_stock by" in line for line in await shop.story(order_id))


async def test_an_order_that_another_process_drives_is_undone_all_the_same(
    shop: Shop, new_database: NewDatabase
) -> None:
    """The process that took it, and is asked, remembers it as it was before."""
    async with shop.with_orders_of_its_own(new_database("orders"), saga_concurrency="0") as taking, taking.another():
        with fault("checkout.authorize_payment.before"):
            order_id = await came_to(taking, "STOCK_RESERVED")
            await taking.customer().CancelOrder(cancellation(order_id))
            order = await taking.ended(order_id)

    assert order.state == ORDER_STATE_CANCELLED


async def test_cancelling_twice_is_no_error(shop: Shop) -> None:
    """Neither while it is being undone, nor afterwards."""
    with fault("checkout.reserve_stock.before", "checkout.reserve_stock.undo.before"):
        order_id = await came_to(shop, "PLACED")
        await shop.customer().CancelOrder(cancellation(order_id))
        again = await shop.customer().CancelOrder(cancellation(order_id))
    await shop.ended(order_id)
    afterwards = await shop.customer().CancelOrder(cancellation(order_id))

    assert again.order.state == ORDER_STATE_PENDING
    assert afterwards.order.state == ORDER_STATE_CANCELLED


async def test_it_is_too_late_once_the_payment_is_being_taken(shop: Shop) -> None:
    """The money may be on its way already."""
    with fault("checkout.capture_payment.before"):
        order_id = await came_to(shop, "PAYMENT_AUTHORIZED")
        with refused(errors.FailedPrecondition, "CANCEL_TOO_LATE"):
            await shop.customer().CancelOrder(cancellation(order_id))
    await shop.ended(order_id)

    with refused(errors.FailedPrecondition, "CANCEL_TOO_LATE"):
        await shop.customer().CancelOrder(cancellation(order_id))
    assert (await shop.get(order_id)).customer_id == shop.alice


async def test_a_cancellation_sent_twice_gets_its_first_answer(shop: Shop) -> None:
    """Byte for byte, whatever became of the order since."""
    with fault("checkout.reserve_stock.before"):
        order_id = await came_to(shop, "PLACED")
        request = cancellation(order_id)
        first = await shop.customer().CancelOrder(request)
        await shop.ended(order_id)

    assert await shop.customer().CancelOrder(request) == first
