"""What tests of several services share."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import NewDatabase
from tests.integration.shop import Shop, open_shop


@pytest.fixture(scope="session")
async def shared_shop(shared_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """One shop for the whole run: orders, catalog, inventory, payments and the provider."""
    async with open_shop(shared_database, tmp_path_factory.mktemp("provider")) as shop:
        yield shop


@pytest.fixture
async def shop(shared_shop: Shop) -> Shop:
    """The shop with customers nobody has seen before, and a lantern nobody has bought."""
    return await shared_shop.for_a_test()
