"""What it takes for an order to be accepted, and that it is accepted once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.integration.orders.shop import Shop, new_id, placement


async def test_an_order_is_priced_by_the_catalogue(shop: Shop) -> None:
    """Whatever the letters' case: a line names the product as the catalogue does."""
    mug = f"MUG-{shop.lantern}"
    await shop.sell(mug, price=1_999)
    order = await shop.place({shop.lantern.lower(): 2, mug: 3})

    assert [(line.sku, line.name, line.quantity, line.unit_price.minor_units) for line in order.lines] == [
        (shop.lantern, f"One {shop.lantern}", 2, 250),
        (mug, f"One {mug}", 3, 1_999),
    ]
    assert (order.total.currency_code, order.total.minor_units) == ("GBP", 6_497)
    assert order.customer_id == shop.alice


async def test_every_unknown_product_is_named(shop: Shop) -> None:
    """So that the customer need not find out one by one."""
    with refused(errors.FailedPrecondition, "PRODUCT_NOT_FOUND") as refusal:
        await shop.place({"GHOST": 1, shop.lantern: 1, "WRAITH": 1})

    assert isinstance(refusal.problem, errors.FailedPrecondition)
    assert [(each.type, each.subject) for each in refusal.problem.obstacles] == [
        ("PRODUCT_NOT_FOUND", "GHOST"),
        ("PRODUCT_NOT_FOUND", "WRAITH"),
    ]
    assert refusal.problem.metadata == {}


async def test_a_retired_product_is_not_sold(shop: Shop) -> None:
    """Nor one in the company of others."""
    await shop.sell("HOOP")
    await shop.retire("HOOP")

    with refused(errors.FailedPrecondition, "PRODUCT_RETIRED"):
        await shop.place({shop.lantern: 1, "HOOP": 1})


async def test_an_order_is_in_one_currency(shop: Shop) -> None:
    """It is paid in one payment."""
    await shop.sell("CROISSANT", currency="EUR")

    with refused(errors.FailedPrecondition, "MIXED_CURRENCIES"):
        await shop.place({shop.lantern: 1, "CROISSANT": 1})


async def test_an_order_has_a_largest_total(shop: Shop) -> None:
    """More than money can say is refused, not wrapped around."""
    await shop.sell("PALACE", price=10_000_000_000_000)

    with refused(errors.FailedPrecondition, "TOTAL_TOO_LARGE"):
        await shop.place({"PALACE": 2})


async def test_two_spellings_of_one_product_are_refused(shop: Shop) -> None:
    """Which of the two quantities was meant, nobody knows."""
    with refused(errors.InvalidArgument, "SKU_REPEATED"):
        await shop.place({shop.lantern: 1, shop.lantern.lower(): 2})


async def test_an_order_sent_twice_is_placed_once(shop: Shop) -> None:
    """The repetition gets the first answer, even when the product has been retired since."""
    request = placement({shop.lantern: 1})
    first = await shop.customer().PlaceOrder(request)
    await shop.ended(first.order.order_id)
    await shop.retire(shop.lantern)

    assert await shop.customer().PlaceOrder(request) == first


async def test_a_repeat_gets_its_answer_while_the_catalogue_is_frozen(shop: Shop) -> None:
    """The stored answer is looked up before the catalogue is asked: nobody waits for what is not needed."""
    request = placement({shop.lantern: 1})
    first = await shop.customer().PlaceOrder(request)
    with silent_server() as address:
        async with shop.another(address_of_catalog=address) as orders:
            assert await shop.customer(it=orders).PlaceOrder(request) == first


async def test_a_refused_order_stays_refused(shop: Shop) -> None:
    """The refusal is the answer to this request; a new request may fare better."""
    request = placement({"LATER": 1})
    with refused(errors.FailedPrecondition, "PRODUCT_NOT_FOUND"):
        await shop.customer().PlaceOrder(request)
    await shop.sell("LATER")

    with refused(errors.FailedPrecondition, "PRODUCT_NOT_FOUND"):
        await shop.customer().PlaceOrder(request)
    assert (await shop.place({"LATER": 1})).lines[0].sku == "LATER"


async def test_a_request_id_names_one_order_only(shop: Shop) -> None:
    """Other content under the same id is a mistake of the caller's."""
    request_id = new_id()
    await shop.customer().PlaceOrder(placement({shop.lantern: 1}, request_id=request_id))

    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await shop.customer().PlaceOrder(placement({shop.lantern: 2}, request_id=request_id))


async def test_the_payment_token_is_forgotten_when_the_order_has_ended(shop: Shop) -> None:
    """Nothing needs it any more."""
    order = await shop.ended((await shop.place()).order_id)
    rows = []
    async with shop.services["orders"].database.read() as reader:
        for statement in (
            "SELECT * FROM saga WHERE saga_id = %(id)s",
            "SELECT * FROM order_event WHERE order_id = %(id)s",
            "SELECT * FROM customer_order WHERE order_id = %(id)s",
            "SELECT * FROM outbox WHERE aggregate_id = %(id)s",
        ):
            rows += await reader.all(statement, id=order.order_id)

    assert len(rows) == 1 + 6 + 1 + 2
    assert not any("tok_approve" in str(row) for row in rows)


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and answers nothing, as a frozen process does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
