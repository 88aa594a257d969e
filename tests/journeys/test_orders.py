"""What customers do with orders, from the outside."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.journeys.books import Books
from tests.journeys.refusals import refusal
from tests.journeys.world import STOCKED, Person, World
from tools.client.shop import OrderEvent
from tradewind.orders.v1 import order_service_pb2 as orders
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub


@pytest.fixture
async def silent_provider(world: World) -> AsyncIterator[None]:
    """The payment provider takes calls and answers none; afterwards it answers again."""
    world.stack.pause("provider")
    yield
    world.stack.resume("provider")


async def steps_until(person: Person, order_id: str, last: str) -> list[str]:
    """What happens to an order up to a certain step."""
    seen: list[str] = []
    async with asyncio.timeout(30):
        async for event in person.shop.watch_by_grpc(person.token, order_id):
            seen.append(event.step)
            if event.step == last:
                break
    return seen


async def versions(person: Person, order_id: str, after: int, count: int | None = None) -> list[int]:
    """The versions a watcher sees after one version: so many, or all until the order has ended."""
    request = orders.WatchOrderRequest(order_id=order_id, after_version=after)
    stream = OrderServiceStub(person.shop.channel).WatchOrder(request, metadata=person.metadata, timeout=30)
    seen: list[int] = []
    async for event in stream:
        seen.append(event.progress.version)
        if len(seen) == count:
            stream.cancel()
            break
    return seen


async def test_a_watch_goes_on_where_it_broke_off(ada: Person, lantern: str) -> None:
    """Step by step, each on a stream of its own: nothing is missed and nothing seen twice."""
    order_id = (await ada.place({lantern: 1}))["order_id"]
    seen: list[int] = []
    for _ in range(3):
        seen += await versions(ada, order_id, after=len(seen), count=1)
    rest = await versions(ada, order_id, after=len(seen))
    assert seen + rest == list(range(1, len(seen + rest) + 1))
    assert await versions(ada, order_id, after=len(seen + rest)) == []


async def test_two_who_watch_see_the_same(ada: Person, lantern: str) -> None:
    """One by HTTP, one by gRPC."""
    order_id = (await ada.place({lantern: 1}))["order_id"]

    async def everything(events: AsyncIterator[OrderEvent]) -> list[OrderEvent]:
        return [event async for event in events]

    by_http, by_grpc = await asyncio.gather(
        everything(ada.shop.watch_by_http(ada.token, order_id)), everything(ada.shop.watch_by_grpc(ada.token, order_id))
    )
    assert by_http == by_grpc
    assert [event.step for event in by_grpc][-1] == "CONFIRMED"


@pytest.mark.usefixtures("silent_provider")
async def test_a_customer_cancels_before_the_money_is_taken(world: World, ada: Person, lantern: str) -> None:
    """What was held is given back, though the provider is silent at the time; cancelling twice is no error."""
    order_id = (await ada.place({lantern: 5}))["order_id"]
    await steps_until(ada, order_id, "STOCK_RESERVED")
    assert await world.stock(lantern) == (STOCKED, 5)
    for _ in range(2):
        assert (await ada.send("POST", f"/v1/orders/{order_id}:cancel", {})).status_code == 200
    world.stack.resume("provider")

    seen = await steps_until(ada, order_id, "CANCELLED")
    assert {"CANCELLING", "STOCK_RELEASED"} <= set(seen)
    order = await ada.order(order_id)
    assert (order["state"], order["cancel_reason"]) == ("ORDER_STATE_CANCELLED", "CANCEL_REASON_CANCELLED_BY_CUSTOMER")
    assert await world.stock(lantern) == (STOCKED, 0)
    assert Books(world.stack).charges().get(order_id, 0) == 0


async def test_it_is_too_late_to_cancel_what_is_paid(ada: Person, lantern: str) -> None:
    """And the order stays as it is."""
    order_id = (await ada.place({lantern: 1}))["order_id"]
    assert (await ada.outcome(order_id)).state == "CONFIRMED"
    assert refusal(await ada.send("POST", f"/v1/orders/{order_id}:cancel", {})) == (400, "CANCEL_TOO_LATE")
    assert (await ada.order(order_id))["state"] == "ORDER_STATE_CONFIRMED"


@pytest.mark.parametrize(
    ("card", "state", "charged"),
    [
        ("tok_approve", "CONFIRMED", 1),
        ("tok_timeout_after_authorize", "CONFIRMED", 1),
        ("tok_timeout_after_capture", "CONFIRMED", 1),
        ("tok_unavailable_once", "CONFIRMED", 1),
        ("tok_answer_twice", "CONFIRMED", 1),
        ("tok_decline", "CANCELLED", 0),
        ("tok_insufficient_funds", "CANCELLED", 0),
        ("tok_no_such_card", "CANCELLED", 0),
    ],
)
async def test_whatever_the_provider_does_it_charges_once_or_not_at_all(
    world: World, ada: Person, lantern: str, card: str, state: str, charged: int
) -> None:
    """An answer that never came is asked for again, and what was refused is undone."""
    order_id = (await ada.place({lantern: 2}, card))["order_id"]
    assert (await ada.outcome(order_id)).state == state
    assert Books(world.stack).charges().get(order_id, 0) == charged
    assert await world.stock(lantern) == (STOCKED - 2 * charged, 0)


async def test_the_last_pieces_are_sold_once(world: World, ada: Person, eve: Person) -> None:
    """Twenty want one of ten: ten get one, and nobody pays for nothing."""
    scarce = await world.sell(stock=10)
    placed = await asyncio.gather(*(person.place({scarce: 1}) for person in [ada, eve] * 10))
    outcomes = await asyncio.gather(
        *(person.outcome(order["order_id"]) for person, order in zip([ada, eve] * 10, placed, strict=True))
    )
    assert sorted(outcome.state for outcome in outcomes) == ["CANCELLED"] * 10 + ["CONFIRMED"] * 10
    assert await world.stock(scarce) == (0, 0)


async def test_a_price_is_that_of_the_moment(world: World, ada: Person, lantern: str) -> None:
    """What is ordered costs what it cost then, whatever it costs now."""
    before = await ada.place({lantern: 3})
    price = {"currency_code": "GBP", "minor_units": 999}
    change = {"price": price, "update_mask": "price"}
    assert (await world.staff.send("PATCH", f"/v1/products/{lantern}", change)).status_code == 200
    after = await ada.place({lantern: 3})
    assert [order["total"]["minor_units"] for order in (before, after)] == ["750", "2997"]


async def test_orders_are_listed_the_newest_first_page_by_page(world: World, lantern: str) -> None:
    """Each once, and only the customer's own."""
    customer = await world.customer("Lister")
    placed = [(await customer.place({lantern: 1}))["order_id"] for _ in range(5)]
    listed: list[str] = []
    token = ""
    while True:
        page = await customer.get(f"/v1/orders?page_size=2&page_token={token}")
        listed += [order["order_id"] for order in page["orders"]]
        token = page["next_page_token"]
        if not token:
            break
    assert listed == placed[::-1]
