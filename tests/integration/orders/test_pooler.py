"""The way of an order when every service reaches its database through a transaction pooler."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import NewDatabase
from tests.integration.orders.shop import STOCKED, WIRINGS, open_shop, placement
from tests.integration.pooler import SERVER_CONNECTIONS, running_pooler
from tools.stack.postgres import Postgres
from tradewind.orders.v1.order_pb2 import OrderState

ORDERS = 40


async def test_orders_go_their_way_through_a_transaction_pooler(
    postgres: Postgres, new_database: NewDatabase, tmp_path: Path
) -> None:
    """There are more connections of clients than the server has processes for them; every order is confirmed, once."""
    with running_pooler(postgres, ["orders", *WIRINGS]) as pooler:

        def pooled(service: str) -> str:
            return pooler.through(new_database(service))

        async with open_shop(pooled, tmp_path, database_pooler="transaction") as shop:
            await shop.sell(shop.lantern)
            requests = [placement({shop.lantern: 1}) for _ in range(ORDERS)]
            placed = await asyncio.gather(*[shop.customer().PlaceOrder(request) for request in requests])
            clients, servers = await asyncio.to_thread(pooler.connections, urlsplit(shop.orders_url).path[1:])
            assert clients > servers
            assert servers <= SERVER_CONNECTIONS

            ended = await asyncio.gather(*[shop.ended(response.order.order_id) for response in placed])
            assert [order.state for order in ended] == [OrderState.ORDER_STATE_CONFIRMED] * ORDERS
            assert await shop.stock() == (STOCKED - ORDERS, 0)
            again = await asyncio.gather(*[shop.customer().PlaceOrder(request) for request in requests])
            assert again == placed
