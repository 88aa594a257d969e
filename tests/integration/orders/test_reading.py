"""Who sees which orders, and how they are watched."""

import asyncio

import pytest

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.orders.shop import Shop, fault, new_id, steps
from tradewind.orders.v1 import order_service_pb2 as pb
from tradewind.orders.v1.order_pb2 import ORDER_STATE_CANCELLED, ORDER_STATE_CONFIRMED


async def test_a_foreign_order_does_not_exist(shop: Shop) -> None:
    """Reading, watching or cancelling it tells nobody that it is there."""
    order_id = (await shop.place()).order_id
    bob = shop.customer(shop.bob)

    with refused(errors.NotFound, "ORDER_NOT_FOUND"):
        await bob.GetOrder(pb.GetOrderRequest(order_id=order_id))
    with refused(errors.NotFound, "ORDER_NOT_FOUND"):
        await shop.watch(order_id, user_id=shop.bob)
    with refused(errors.NotFound, "ORDER_NOT_FOUND"):
        await bob.CancelOrder(pb.CancelOrderRequest(request_id=new_id(), order_id=order_id))


async def test_customers_list_their_own_orders_and_staff_everybodys(shop: Shop) -> None:
    """Naming somebody else is of no use to a customer."""
    alices = (await shop.place()).order_id
    bobs = (await shop.place(user_id=shop.bob)).order_id

    async def listed(request: pb.ListOrdersRequest, *, by_staff: bool = False) -> list[str]:
        stub = shop.staff() if by_staff else shop.customer()
        return [order.order_id for order in (await stub.ListOrders(request)).orders]

    assert await listed(pb.ListOrdersRequest()) == [alices]
    assert await listed(pb.ListOrdersRequest(customer_id=shop.bob)) == [alices]
    assert (await listed(pb.ListOrdersRequest(), by_staff=True))[:2] == [bobs, alices]
    for spelling in (shop.bob, shop.bob.upper()):
        assert await listed(pb.ListOrdersRequest(customer_id=spelling), by_staff=True) == [bobs]


async def test_a_customer_is_named_by_their_id(shop: Shop) -> None:
    """What is no UUID names nobody."""
    for customer_id in ("a\0b", "alice"):
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await shop.staff().ListOrders(pb.ListOrdersRequest(customer_id=customer_id))


async def test_orders_are_listed_by_state(shop: Shop) -> None:
    """The confirmed ones, or the cancelled ones."""
    confirmed = (await shop.ended((await shop.place()).order_id)).order_id
    cancelled = (await shop.ended((await shop.place(payment_token="tok_decline")).order_id)).order_id

    for state, order_id in ((ORDER_STATE_CONFIRMED, confirmed), (ORDER_STATE_CANCELLED, cancelled)):
        page = await shop.customer().ListOrders(pb.ListOrdersRequest(state=state))
        assert [order.order_id for order in page.orders] == [order_id]


async def test_pages_hold_every_order_once_the_newest_first(shop: Shop) -> None:
    """However small the pages are."""
    placed = [(await shop.place()).order_id for _ in range(5)]
    request, seen = pb.ListOrdersRequest(page_size=2), []
    while True:
        page = await shop.customer().ListOrders(request)
        seen += [order.order_id for order in page.orders]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token

    assert seen == placed[::-1]
    with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
        await shop.customer().ListOrders(pb.ListOrdersRequest(page_token="forged"))


async def test_a_watch_is_resumed_from_the_last_version_seen(shop: Shop) -> None:
    """Nothing is missed and nothing is told twice."""
    order_id = (await shop.place()).order_id
    everything = await shop.watch(order_id)

    assert await shop.watch(order_id, after_version=3) == everything[3:]


async def test_watching_an_order_that_has_ended_ends(shop: Shop) -> None:
    """There is nothing more to wait for."""
    order = await shop.ended((await shop.place()).order_id)

    assert await shop.watch(order.order_id, after_version=order.version) == []
    assert await shop.watch(order.order_id, after_version=order.version + 7) == []


async def test_a_watcher_sees_what_another_process_does(shop: Shop) -> None:
    """The process that is watched at need not be the one that drives the order."""
    async with shop.another() as other:
        order_id = (await shop.place(it=other)).order_id

        assert steps(await shop.watch(order_id))[-1] == "CONFIRMED"


async def test_a_watch_ends_where_another_process_has_ended_the_order(shop: Shop, new_database: NewDatabase) -> None:
    """The process that took the order remembers how it left it; how it stands now it does not know."""
    async with shop.with_orders_of_its_own(new_database("orders"), saga_concurrency="0") as taking, taking.another():
        order = await taking.ended((await taking.place()).order_id)

        assert order.state == ORDER_STATE_CONFIRMED
        assert await taking.watch(order.order_id, after_version=order.version) == []


async def test_a_watch_from_a_version_that_is_not_there_yet_goes_on_from_what_is(shop: Shop) -> None:
    """Whoever has lost count sees the order end."""
    with fault("checkout.reserve_stock.before"):
        order_id = (await shop.place()).order_id
        watch = asyncio.create_task(shop.watch(order_id, after_version=50))
        await shop.came_to(order_id, "PLACED")
    responses = await watch

    assert steps(responses)[-1] == "CONFIRMED"
    assert responses[0].progress.version == 2


async def test_a_watcher_who_leaves_is_forgotten(shop: Shop) -> None:
    """A stream that ends leaves nothing behind that would be woken."""
    with fault("checkout.reserve_stock.before"):
        order_id = (await shop.place()).order_id
        watch = shop.customer().WatchOrder(pb.WatchOrderRequest(order_id=order_id))
        first = await anext(aiter(watch))
        watch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch.code() and await anext(aiter(watch))

    assert first.progress.version == 1
    assert (await shop.ended(order_id)).customer_id == shop.alice
