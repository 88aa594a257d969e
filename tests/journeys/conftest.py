"""One stack for all journeys, on ports of its own, and the people in it."""

from collections.abc import AsyncIterator

import pytest

from tests.journeys.world import Person, World, running_world
from tools.stack.addresses import FreePorts
from tools.stack.options import Options


@pytest.fixture(scope="package")
async def world() -> AsyncIterator[World]:
    """Everything runs; whatever a test stops it starts again."""
    # Whoever waits for the orders of a process that died need not wait so long here.
    quick = {"orders": {"TRADEWIND_SAGA_LEASE_SECONDS": "2"}}
    async with running_world(Options(ports=FreePorts(), durable=False, overrides=quick)) as running:
        yield running


@pytest.fixture(scope="package")
async def ada(world: World) -> Person:
    """A customer."""
    return await world.customer("Ada")


@pytest.fixture(scope="package")
async def eve(world: World) -> Person:
    """Another customer, who minds the business of the first."""
    return await world.customer("Eve")


@pytest.fixture
async def lantern(world: World) -> str:
    """A product that nobody has bought yet."""
    return await world.sell()
