"""The times of a product never run backwards, whoever's clock they are read from."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chassis.testing import ManualClock
from tests.integration.catalog.client import Catalog, pounds
from tradewind.catalog.v1 import catalog_service_pb2 as pb
from tradewind.catalog.v1.product_pb2 import Product


async def updated(catalog: Catalog) -> Product:
    """The lamp at another price that staff set."""
    return await catalog.update("LAMP-1", price=pounds(999))


async def retired(catalog: Catalog) -> Product:
    """The lamp off sale."""
    return await catalog.retire("LAMP-1")


async def imported(catalog: Catalog) -> Product:
    """The lamp at another price that a shop's file says."""
    line = {"sku": "LAMP-1", "name": "Brass lamp", "price": "9.99", "currency_code": "GBP"}
    await catalog.staff.ImportProducts([pb.ImportProductsRequest(request_id=str(uuid.uuid4()), line_number=1, **line)])
    return await catalog.get("LAMP-1")


@pytest.mark.parametrize("changed", [updated, retired, imported])
async def test_a_change_is_no_earlier_than_the_one_before(
    catalog: Catalog, clock: ManualClock, changed: Callable[[Catalog], Awaitable[Product]]
) -> None:
    """Its time may have been read before: by a process whose clock is behind, or one that then waited for the row."""
    await catalog.create("LAMP-1")
    await clock.advance(5)
    before = await catalog.update("LAMP-1", price=pounds(500))
    await clock.advance(-5)
    after = await changed(catalog)
    assert (after.etag, after.update_time) == ("3", before.update_time)
    history = (await catalog.anyone.ListPriceChanges(pb.ListPriceChangesRequest(sku="LAMP-1"))).price_changes
    times = [change.effective_time.ToDatetime() for change in history]
    assert times == sorted(times, reverse=True)
    told: list[Any] = await catalog.facts()
    assert [fact.occur_time for fact in told[-2:]] == [before.update_time, before.update_time]
