"""What tests share: a shop of several services, the catalogue alone, the edge alone."""

from collections.abc import AsyncIterator, Iterator

import pytest

from chassis.testing import ManualClock, Tokens
from tests.conftest import NewDatabase
from tests.integration.catalog.client import Catalog, running_catalog
from tests.integration.edge.client import EdgeClient, running_client
from tests.integration.orders.shop import Shop, open_shop


@pytest.fixture(scope="session")
async def shared_shop(shared_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """One shop for the whole run: orders, catalog, inventory, payments and the provider."""
    async with open_shop(shared_database, tmp_path_factory.mktemp("provider")) as shop:
        yield shop


@pytest.fixture
async def shop(shared_shop: Shop) -> Shop:
    """The shop with customers nobody has seen before, and a lantern nobody has bought."""
    return await shared_shop.for_a_test()


@pytest.fixture
def clock() -> ManualClock:
    """The catalogue's clock."""
    return ManualClock()


@pytest.fixture
async def catalog(new_database: NewDatabase, clock: ManualClock) -> AsyncIterator[Catalog]:
    """The service, with nothing on sale."""
    async with running_catalog(new_database("catalog"), clock) as catalog:
        yield catalog


@pytest.fixture(scope="module")
async def shared_edge(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> AsyncIterator[EdgeClient]:
    """One edge for all tests of a module."""
    async with running_client(tmp_path_factory.mktemp("edge"), tokens) as client:
        yield client


@pytest.fixture
def edge(shared_edge: EdgeClient) -> Iterator[EdgeClient]:
    """The edge, with services that have seen nothing yet."""
    shared_edge.upstream.seen.clear()
    yield shared_edge
    shared_edge.upstream.answers.clear()
