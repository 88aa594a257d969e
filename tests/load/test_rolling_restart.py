"""A rolling restart of everything, while customers buy: they notice nothing."""

import asyncio

import pytest

from tests.journeys.books import Books
from tests.journeys.world import World, running_world
from tests.load.customers import Crowd, over_grpc, over_http
from tests.waiting import eventually
from tools.stack.addresses import FreePorts
from tools.stack.options import Options

ERRANDS = (over_http, over_grpc, over_http, over_grpc)
STOCKED = 1_000_000


@pytest.mark.timeout(600)
async def test_a_rolling_restart_costs_no_customer_anything() -> None:
    """Two processes of each service, every one of them replaced: no error, no order lost, and the books balance."""
    async with running_world(Options(ports=FreePorts(), replicas=2, durable=False)) as world:
        crowd = Crowd(world, await world.sell(stock=STOCKED))
        people = [await world.customer(f"Customer{number}") for number in range(len(ERRANDS))]
        async with asyncio.TaskGroup() as tasks:
            for errand, person in zip(ERRANDS, people, strict=True):
                tasks.create_task(crowd.buys(errand, person))
            await _restart_everything(world)
            crowd.is_over = True

        assert crowd.errors == []
        assert set(crowd.outcomes.values()) == {"CONFIRMED", "CANCELLED"}
        books = Books(world.stack)
        assert books.orders() == crowd.outcomes
        books.check(crowd.sku)
        assert await eventually(lambda: _mails_about(crowd, books)) == dict.fromkeys(crowd.outcomes, 1)


async def _restart_everything(world: World) -> None:
    """First one process of every service, all at once, then the other one: SIGTERM, and a new one in its place."""
    instances = world.stack.instances()
    for wave in (instances[::2], instances[1::2]):
        await asyncio.gather(*(asyncio.to_thread(world.stack.restart, name) for name in wave))
        await asyncio.to_thread(world.stack.wait_until_healthy, "edge")


async def _mails_about(crowd: Crowd, books: Books) -> dict[str, int] | None:
    """The mails sent about each order, once there is one about every order."""
    mails = books.mails()
    return mails if mails.keys() == crowd.outcomes.keys() else None
