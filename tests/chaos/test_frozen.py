"""Dependencies that keep their connections and answer nothing: worse than the dead, for nobody is told."""

import asyncio

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.chaos.fates import frozen
from tests.chaos.market import Market
from tests.waiting import insisted, until_nothing


@pytest.mark.parametrize("callee", ["provider", "inventory"])
async def test_orders_wait_for_a_frozen_callee(market: Market, callee: str) -> None:
    """Their steps fail and are tried again, until it thaws."""
    with frozen(market.stack, callee):
        orders = await market.orders(4, "orders")
        await until_nothing(lambda: market.records.untroubled(market.lantern))
    assert await market.come_to_rest() == dict.fromkeys(orders, "CONFIRMED")


async def test_orders_wait_for_a_frozen_database(market: Market) -> None:
    """Who gets no answer from it says NOT_SERVING; once it thaws, whoever insisted has their order."""
    with frozen(market.stack, "database"):
        placing = asyncio.ensure_future(market.orders(4, "orders"))
        await until_nothing(lambda: _still_serving(market))
    orders = await placing
    assert await market.come_to_rest() == dict.fromkeys(orders, "CONFIRMED")


async def _still_serving(market: Market) -> list[str]:
    health = HealthStub(market.doors["orders"])
    answer = await insisted(lambda: health.Check(HealthCheckRequest(), timeout=5))
    return ["orders says SERVING"] if answer.status == HealthCheckResponse.SERVING else []
