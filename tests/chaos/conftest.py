"""One stack for all of the chaos, with three orchestrators in it, whose dead are believed in for a moment only."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.messaging.broker import provisioning
from tests.chaos import invariants
from tests.chaos.doors import Doors
from tests.chaos.market import ORCHESTRATORS, PLENTY, Market
from tests.chaos.records import Records
from tests.journeys.world import World, running_world
from tools.stack.addresses import FreePorts
from tools.stack.options import Options

OPTIONS = Options(
    ports=FreePorts(),
    durable=False,
    replicas_of={"orders": len(ORCHESTRATORS)},
    environment={"TRADEWIND_DRAIN_SECONDS": "0"},
    overrides={
        "orders": {"TRADEWIND_SAGA_LEASE_SECONDS": "1", "TRADEWIND_SAGA_POLL_SECONDS": "0.1"},
        "notifications": {"TRADEWIND_LEASE_SECONDS": "2"},
    },
)


@pytest.fixture(scope="package")
async def chaos_world() -> AsyncIterator[World]:
    """Everything runs, and whatever is killed is replaced."""
    with pytest.MonkeyPatch.context() as patched:
        # What a dead consumer had not acknowledged is delivered again soon.
        patched.setattr(provisioning, "ACK_SECONDS", 2)
        async with running_world(OPTIONS) as world:
            yield world


@pytest.fixture(scope="package")
async def doors(chaos_world: World) -> AsyncIterator[Doors]:
    """The way to every process."""
    opened = Doors(chaos_world.stack)
    yield opened
    await opened.close()


@pytest.fixture(scope="package")
async def markets(chaos_world: World, doors: Doors) -> AsyncIterator[list[Market]]:
    """Every test's market. When all are over, whatever came late has changed none of them."""
    opened: list[Market] = []
    yield opened
    accepted = [order_id for market in opened for order_id in market.accepted]
    products = [sku for market in opened for sku in (market.lantern, market.rarity)]
    await invariants.hold(Records(chaos_world.stack, doors), accepted, products)


@pytest.fixture
async def market(chaos_world: World, doors: Doors, markets: list[Market]) -> Market:
    """Products and a customer of the test's own."""
    customer = await chaos_world.customer()
    lantern, rarity = await chaos_world.sell(stock=PLENTY), await chaos_world.sell(stock=1)
    markets.append(Market(chaos_world.stack, doors, customer, lantern, rarity))
    return markets[-1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Chaos takes minutes where another test takes seconds."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))
