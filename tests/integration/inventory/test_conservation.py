"""Stock is conserved: whatever happens at once, however often it is sent, every piece is accounted for."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import groupby

import grpc
import pytest

from chassis.contract import status
from tests.conftest import NewDatabase
from tests.integration.inventory.client import Inventory, line, new_id, running_inventory
from tradewind.inventory.v1.stock_events_pb2 import StockCommitted, StockDepleted, StockReleased, StockReserved

SKUS = ("TEAPOT", "MUG", "SPOON", "KETTLE")
ORDERS = 40
OPERATIONS = 400
AT_ONCE = 16

MAY_BE_REFUSED_WITH = {"OUT_OF_STOCK", "RESERVATION_CLOSED", "RESERVATION_COMMITTED", "RESERVATION_NOT_FOUND"}

ACCOUNTS = """
SELECT
    sku, on_hand, reserved,
    (SELECT coalesce(sum(delta), 0) FROM stock_adjustment
     WHERE sku = stock.sku AND refusal IS NULL) AS counted,
    (SELECT coalesce(sum(quantity), 0) FROM reservation_line JOIN reservation USING (order_id)
     WHERE sku = stock.sku AND state = 'committed') AS committed,
    (SELECT coalesce(sum(quantity), 0) FROM reservation_line JOIN reservation USING (order_id)
     WHERE sku = stock.sku AND state = 'held') AS held
FROM stock
"""


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[Inventory]:
    """The service, with a little of everything: too little for all."""
    async with running_inventory(new_database("inventory")) as inventory:
        await inventory.stock(**dict.fromkeys(SKUS, 20))
        yield inventory


@pytest.mark.parametrize("seed", range(3))
async def test_every_piece_is_accounted_for(inventory: Inventory, seed: int) -> None:
    """Orders, warehouse and sweeper at work at once, each call sent up to three times: the books agree, twice over."""
    await storm(inventory, random.Random(seed))
    async with inventory.it.database.read() as reader:
        accounts = await reader.all(ACCOUNTS)
    for stock in accounts:
        assert stock["on_hand"] == stock["counted"] - stock["committed"], stock
        assert stock["reserved"] == stock["held"], stock
    taken, held = await retold(inventory)
    assert {stock["sku"]: stock["committed"] for stock in accounts} == {sku: taken[sku] for sku in SKUS}
    assert {stock["sku"]: stock["held"] for stock in accounts} == {sku: held[sku] for sku in SKUS}
    await check_depletions(inventory)


async def test_two_sweepers_give_back_once(new_database: NewDatabase) -> None:
    """Every process of the service sweeps; what one works on the others pass over."""
    url = new_database("inventory")
    async with running_inventory(url) as one, running_inventory(url) as other:
        await one.stock(TEAPOT=500)
        order_ids = [new_id() for _ in range(150)]
        await one.reserve_each(order_ids, TEAPOT=2)
        await asyncio.gather(one.expire_each(order_ids), other.expire_each(order_ids))
        assert await one.available("TEAPOT") == [(500, 0, 500)]
        released = [fact.order_id for fact in await one.facts() if isinstance(fact, StockReleased)]
        assert sorted(released) == sorted(order_ids)


async def storm(inventory: Inventory, chance: random.Random) -> None:
    """Everything at once, in an order of nobody's choosing. Only refusals of the business are allowed."""
    order_ids = [new_id() for _ in range(ORDERS)]
    room = asyncio.Semaphore(AT_ONCE)

    async def attempt(act: Callable[[], Awaitable[object]]) -> None:
        async with room:
            try:
                await act()
            except grpc.aio.AioRpcError as error:
                if status.from_rpc_error(error).reason not in MAY_BE_REFUSED_WITH:
                    raise

    acts = [act for _ in range(OPERATIONS) for act in [chosen(inventory, chance, order_ids)] * chance.randint(1, 3)]
    await asyncio.gather(*map(attempt, acts))


def chosen(inventory: Inventory, chance: random.Random, order_ids: list[str]) -> Callable[[], Awaitable[object]]:
    """Something that may happen, under a request id of its own."""
    order_id, request_id = chance.choice(order_ids), new_id()
    lines = {sku: chance.randint(1, 5) for sku in chance.sample(SKUS, chance.randint(1, 4))}
    counted = [line(sku, chance.choice((-3, -1, 2, 4)), request_id=new_id()) for sku in lines]
    return chance.choices(
        [
            lambda: inventory.reserve(order_id, request_id, **lines),
            lambda: inventory.commit(order_id, request_id),
            lambda: inventory.release(order_id, request_id),
            lambda: inventory.count(*counted),
            lambda: inventory.clock.advance(400),
        ],
        weights=[10, 5, 2, 3, 1],
    )[0]


async def retold(inventory: Inventory) -> tuple[Counter[str], Counter[str]]:
    """What was taken and what is held of each product, told by the published facts alone; none may be missing."""
    facts = [fact for fact in await inventory.facts() if not isinstance(fact, StockDepleted)]
    taken, held = Counter[str](), Counter[str]()
    for _, of_order in groupby(sorted(facts, key=lambda fact: fact.order_id), key=lambda fact: fact.order_id):
        story = sorted(of_order, key=lambda fact: fact.aggregate_version)
        assert [fact.aggregate_version for fact in story] == list(range(1, len(story) + 1))
        lines = Counter({each.sku: each.quantity for each in story[-1].lines})
        match story[-1]:
            case StockReserved():
                held += lines
            case StockCommitted():
                taken += lines
            case StockReleased():
                pass
    return taken, held


async def check_depletions(inventory: Inventory) -> None:
    """A consumer can tell which of two depletions of a product is the later one."""
    versions: dict[str, list[int]] = {sku: [] for sku in SKUS}
    for fact in await inventory.facts():
        if isinstance(fact, StockDepleted):
            versions[fact.sku].append(fact.aggregate_version)
    for of_product in versions.values():
        assert of_product == sorted(set(of_product))
