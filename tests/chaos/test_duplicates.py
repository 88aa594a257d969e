"""The same thing said twice, at once, or in the wrong order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from chassis.core import errors
from chassis.rpc.metadata import ASSERTED_PEER
from tests.chaos.broadcast import broadcast
from tests.chaos.market import ORCHESTRATORS, Market
from tests.journeys.world import new_id
from tests.waiting import insisted
from tradewind.identity.v1.user_events_pb2 import UserRegistered
from tradewind.inventory.v1.inventory_service_pb2 import ReleaseStockRequest, ReserveStockRequest
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.inventory.v1.stock_pb2 import StockLine
from tradewind.orders.v1.order_events_pb2 import OrderConfirmed
from tradewind.payments.v1.payment_service_pb2 import AuthorizePaymentRequest, VoidPaymentRequest
from tradewind.payments.v1.payment_service_pb2_grpc import PaymentServiceStub
from tradewind.type.v1.money_pb2 import Money

RACES = 20
PRICE = Money(currency_code="GBP", minor_units=250)


async def test_an_order_sent_by_many_at_once_is_one_order(market: Market) -> None:
    """Twelve clients, three processes, one request id."""
    request_id = new_id()
    told = await asyncio.gather(
        *(market.place(at=counter, request_id=request_id) for counter in ORCHESTRATORS for _ in range(4))
    )
    assert await market.come_to_rest() == dict.fromkeys(told, "CONFIRMED")
    assert len(set(told)) == 1


async def test_facts_told_thrice_and_in_the_wrong_order_make_one_mail_each(market: Market) -> None:
    """An order's end is heard before its customer is known; then again, and both once more."""
    user_id, email = new_id(), f"{new_id()}@example.com"
    confirmed = OrderConfirmed(order_id=new_id(), aggregate_version=2, customer_id=user_id, total=PRICE)
    registered = UserRegistered(user_id=user_id, aggregate_version=1, email=email, display_name="Ada")
    ids = {"confirmed": new_id(), "registered": new_id()}
    for fact, name in [(confirmed, "confirmed"), (confirmed, "confirmed"), (registered, "registered")] * 3:
        await broadcast(market.records.broker_url, fact, ids[name])
    await market.come_to_rest()
    subjects = [mail["Subject"] for mail in market.records.mails_to(email)]
    assert len(subjects) == 2
    assert len(set(subjects)) == 2


async def test_stock_released_before_it_is_reserved_is_never_held(market: Market) -> None:
    """The undo came first: what it undoes is refused."""
    warehouse = Warehouse(market)
    order_id = new_id()
    await warehouse.release(order_id)
    with pytest.raises(errors.FailedPrecondition) as refusal:
        await warehouse.reserve(order_id)
    assert refusal.value.reason == "RESERVATION_CLOSED"
    await market.come_to_rest()


async def test_a_payment_voided_before_it_is_authorized_is_never_held(market: Market) -> None:
    """The same at the till and at the provider."""
    till = Till(market)
    order_id = new_id()
    await till.void(order_id)
    with pytest.raises(errors.FailedPrecondition) as refusal:
        await till.authorize(order_id)
    assert refusal.value.reason == "PAYMENT_CLOSED"
    assert await market.records.charge_state(order_id) == "VOIDED"


async def test_an_undo_that_races_with_what_it_undoes_wins(market: Market) -> None:
    """Both are sent at the same time, many times over: whoever comes first, nothing is held in the end."""
    warehouse, till = Warehouse(market), Till(market)
    orders = [new_id() for _ in range(RACES)]
    pairs = ((warehouse.reserve, warehouse.release), (till.authorize, till.void))
    await asyncio.gather(
        *(work(order_id) for order_id in orders for do, undo in pairs for work in (partial(_tried, do), undo))
    )
    await market.come_to_rest()
    assert {await market.records.charge_state(order_id) for order_id in orders} == {"VOIDED"}


class Warehouse:
    """Inventory, as orders calls it."""

    def __init__(self, market: Market) -> None:
        self._stub = InventoryServiceStub(market.doors["inventory"])
        self._sku = market.lantern

    async def reserve(self, order_id: str) -> None:
        """Hold a lantern."""
        lines = [StockLine(sku=self._sku, quantity=1)]
        await _asked(self._stub.ReserveStock, ReserveStockRequest(request_id=new_id(), order_id=order_id, lines=lines))

    async def release(self, order_id: str) -> None:
        """Hold nothing."""
        await _asked(self._stub.ReleaseStock, ReleaseStockRequest(request_id=new_id(), order_id=order_id))


class Till:
    """Payments, as orders calls it."""

    def __init__(self, market: Market) -> None:
        self._stub = PaymentServiceStub(market.doors["payments"])

    async def authorize(self, order_id: str) -> None:
        """Hold the price."""
        request = AuthorizePaymentRequest(
            request_id=new_id(), order_id=order_id, amount=PRICE, payment_token="tok_approve"
        )
        await _asked(self._stub.AuthorizePayment, request)

    async def void(self, order_id: str) -> None:
        """Hold nothing."""
        await _asked(self._stub.VoidPayment, VoidPaymentRequest(request_id=new_id(), order_id=order_id))


async def _asked(method: Callable[..., Awaitable[Any]], request: Any) -> None:
    await insisted(lambda: method(request, metadata=[(ASSERTED_PEER, "orders")], timeout=5))


async def _tried(work: Callable[[str], Awaitable[None]], order_id: str) -> None:
    """Done, or refused because its undo came first."""
    with suppress(errors.FailedPrecondition):
        await work(order_id)
