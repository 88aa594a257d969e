"""The shop from order to ledger in one process: orders with the real catalogue, warehouse, till and provider behind it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from chassis.core import failpoints
from chassis.testing import RunningService, Tokens, running
from services.catalog.__main__ import service as catalog_service
from services.inventory.__main__ import service as inventory_service
from services.orders.__main__ import service as orders_service
from services.payments.__main__ import service as payments_service
from tests.conftest import NewDatabase
from tests.integration.payments.client import running_provider
from tradewind.catalog.v1 import catalog_service_pb2 as catalog_pb
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.inventory.v1 import inventory_service_pb2 as inventory_pb
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.inventory.v1.stock_pb2 import StockLine
from tradewind.operations.v1 import saga_service_pb2 as saga_pb
from tradewind.operations.v1.saga_pb2 import Saga, SagaState
from tradewind.operations.v1.saga_service_pb2_grpc import SagaServiceStub
from tradewind.orders.v1 import order_service_pb2 as pb
from tradewind.orders.v1.order_events_pb2 import OrderCancelled, OrderConfirmed, OrderPlaced
from tradewind.orders.v1.order_pb2 import Order, OrderStep
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub
from tradewind.payments.v1 import payment_service_pb2 as payment_pb
from tradewind.payments.v1.payment_pb2 import LedgerEntry, PaymentState
from tradewind.payments.v1.payment_service_pb2_grpc import PaymentServiceStub
from tradewind.type.v1.money_pb2 import Money

FACTS = {fact.DESCRIPTOR.full_name: fact for fact in (OrderPlaced, OrderConfirmed, OrderCancelled)}
WIRINGS = {"catalog": catalog_service, "inventory": inventory_service, "payments": payments_service}
STOCKED = 1_000


def new_id() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())


def new_sku() -> str:
    """A SKU of a lantern nobody sells."""
    return f"LANTERN-{new_id()[:8]}".upper()


@dataclass
class Shop:
    """Everything an order passes, and short words for what is asked of it."""

    tokens: Tokens
    orders_url: str
    settings: dict[str, str]
    runtime: dict[str, Any] = field(default_factory=dict)
    """What every service is told: fields of RuntimeSettings."""
    services: dict[str, RunningService] = field(default_factory=dict)
    alice: str = field(default_factory=new_id)
    bob: str = field(default_factory=new_id)
    lantern: str = field(default_factory=new_sku)

    async def for_a_test(self) -> "Shop":
        """The same shop with other customers and a lantern of its own."""
        fresh = Shop(self.tokens, self.orders_url, self.settings, self.runtime, self.services)
        await fresh.sell(fresh.lantern)
        return fresh

    @asynccontextmanager
    async def with_orders_of_its_own(self, database_url: str, **settings: str) -> AsyncIterator["Shop"]:
        """The same shop, but for orders: for the block, a service on another database, with settings of its own."""
        its_own = replace(self, orders_url=database_url, services=dict(self.services))
        async with its_own.another(**settings) as its_own.services["orders"]:
            yield its_own

    @asynccontextmanager
    async def another(self, **settings: str) -> AsyncIterator[RunningService]:
        """Another process of orders, as it were: for the block, on the same database, with settings of its own."""
        it = running(
            orders_service, "services.orders", database_url=self.orders_url, tokens=self.tokens, **self.runtime
        )
        async with AsyncExitStack() as stack:
            with pytest.MonkeyPatch.context() as environment:
                for name, value in {**self.settings, **settings}.items():
                    environment.setenv(f"TRADEWIND_{name.upper()}", value)
                service = await stack.enter_async_context(it)
            yield service

    def customer(self, user_id: str = "", it: RunningService | None = None) -> OrderServiceStub:
        """Orders, as a customer reaches them."""
        return OrderServiceStub(
            (it or self.services["orders"]).channel(token=self.tokens.customer(user_id or self.alice))
        )

    def staff(self) -> OrderServiceStub:
        """Orders, as staff reach them."""
        return OrderServiceStub(self._as_staff("orders"))

    def sagas(self) -> SagaServiceStub:
        """The sagas, as staff reach them."""
        return SagaServiceStub(self._as_staff("orders"))

    def _as_staff(self, service: str) -> grpc.aio.Channel:
        return self.services[service].channel(token=self.tokens.staff())

    async def sell(self, sku: str, *, price: int = 250, currency: str = "GBP", stock: int = STOCKED) -> None:
        """Put a product on sale, and on the shelf."""
        money = Money(currency_code=currency, minor_units=price)
        product = catalog_pb.CreateProductRequest(request_id=new_id(), sku=sku, name=f"One {sku}", price=money)
        await CatalogServiceStub(self._as_staff("catalog")).CreateProduct(product)
        if stock:
            await self.restock(sku, stock)

    async def restock(self, sku: str, delta: int) -> None:
        """Let some come in."""
        line = inventory_pb.AdjustStockRequest(request_id=new_id(), sku=sku, delta=delta)
        answers = InventoryServiceStub(self._as_staff("inventory")).AdjustStock(iter([line]))
        assert [answer.accepted async for answer in answers] == [True]

    async def retire(self, sku: str) -> None:
        """Take a product off sale."""
        request = catalog_pb.RetireProductRequest(request_id=new_id(), sku=sku)
        await CatalogServiceStub(self._as_staff("catalog")).RetireProduct(request)

    async def place(
        self,
        items: Mapping[str, int] | None = None,
        payment_token: str = "tok_approve",
        user_id: str = "",
        it: RunningService | None = None,
    ) -> Order:
        """Place an order, of one lantern unless told otherwise."""
        request = placement(items or {self.lantern: 1}, payment_token)
        return (await self.customer(user_id, it).PlaceOrder(request)).order

    async def watch(self, order_id: str, after_version: int = 0, user_id: str = "") -> list[pb.WatchOrderResponse]:
        """Everything that happens to an order until it ends."""
        async with asyncio.timeout(20):
            request = pb.WatchOrderRequest(order_id=order_id, after_version=after_version)
            return [response async for response in self.customer(user_id).WatchOrder(request)]

    async def came_to(self, order_id: str, step: str) -> None:
        """Waits until that step has happened to an order."""
        watch = self.customer().WatchOrder(pb.WatchOrderRequest(order_id=order_id))
        async with asyncio.timeout(20):
            async for response in watch:
                if steps([response]) == [step]:
                    break
        watch.cancel()

    async def ended(self, order_id: str) -> Order:
        """The order, once it has ended."""
        await self.watch(order_id)
        return await self.get(order_id)

    async def get(self, order_id: str) -> Order:
        """The order as it stands."""
        return (await self.staff().GetOrder(pb.GetOrderRequest(order_id=order_id))).order

    async def stuck(self, order_id: str) -> Saga:
        """The order's saga, once it needs an operator."""
        async with asyncio.timeout(20):
            while (saga := await self.saga(order_id)).state != SagaState.SAGA_STATE_NEEDS_OPERATOR:
                pass
        return saga

    async def saga(self, order_id: str) -> Saga:
        """The order's saga."""
        return (await self.sagas().GetSaga(saga_pb.GetSagaRequest(saga_id=order_id))).saga

    async def story(self, order_id: str) -> list[str]:
        """What staff are told of the order's saga."""
        response = await self.sagas().GetSaga(saga_pb.GetSagaRequest(saga_id=order_id))
        return [event.description for event in response.history]

    async def release(self, order_id: str) -> None:
        """Give the order's stock back behind its saga's back: it cannot be committed any more."""
        stub = InventoryServiceStub(self.services["inventory"].channel(peer="orders"))
        await stub.ReleaseStock(inventory_pb.ReleaseStockRequest(request_id=new_id(), order_id=order_id))

    async def expire(self, order_id: str) -> None:
        """Let the order's reservation run out long before its time."""
        async with self.services["inventory"].database.read() as reader:
            await reader.execute("UPDATE reservation SET expires_at = now() WHERE order_id = %(id)s", id=order_id)
            held = "SELECT FROM reservation WHERE order_id = %(id)s AND state = 'held'"
            while await reader.all(held, id=order_id):
                pass

    async def hold(self, quantity: int) -> None:
        """Hold so many lanterns for an order of somebody else."""
        stub = InventoryServiceStub(self.services["inventory"].channel(peer="orders"))
        lines = [StockLine(sku=self.lantern, quantity=quantity)]
        await stub.ReserveStock(inventory_pb.ReserveStockRequest(request_id=new_id(), order_id=new_id(), lines=lines))

    async def stock(self) -> tuple[int, int]:
        """How many lanterns are on hand, and how many of them reserved."""
        stub = InventoryServiceStub(self.services["inventory"].channel())
        (line,) = (await stub.GetAvailability(inventory_pb.GetAvailabilityRequest(skus=[self.lantern]))).availability
        return line.on_hand, line.reserved

    async def payment(self, order_id: str) -> str:
        """Where the order's payment stands."""
        stub = PaymentServiceStub(self._as_staff("payments"))
        payment = (await stub.GetPayment(payment_pb.GetPaymentRequest(order_id=order_id))).payment
        return PaymentState.Name(payment.state).removeprefix("PAYMENT_STATE_")

    async def ledger(self, order_id: str) -> list[LedgerEntry]:
        """What was booked of the order."""
        stub = PaymentServiceStub(self._as_staff("payments"))
        response = await stub.ListLedgerEntries(payment_pb.ListLedgerEntriesRequest(order_id=order_id))
        return list(response.entries)

    async def facts(self, order_id: str) -> list[Message]:
        """What was published about an order, in its order."""
        async with self.services["orders"].database.read() as reader:
            rows = await reader.all(
                "SELECT type, payload FROM outbox WHERE aggregate_id = %(id)s ORDER BY position", id=order_id
            )
        return [FACTS[row["type"]].FromString(row["payload"]) for row in rows]


@asynccontextmanager
async def open_shop(new_database: NewDatabase, directory: Path, **runtime: Any) -> AsyncIterator[Shop]:
    """A shop with empty shelves. `runtime` are fields of every service's RuntimeSettings."""
    tokens = Tokens()
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(running_provider(directory))
        shop = Shop(tokens, new_database("orders"), {"address_of_provider": provider.target}, runtime)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TRADEWIND_ADDRESS_OF_PROVIDER", provider.target)
            for name, wiring in WIRINGS.items():
                it = running(wiring, f"services.{name}", database_url=new_database(name), tokens=tokens, **runtime)
                shop.services[name] = await stack.enter_async_context(it)
                shop.settings[f"address_of_{name}"] = shop.services[name].target
        async with shop.another() as shop.services["orders"]:
            yield shop


@contextmanager
def fault(*places: str) -> Iterator[None]:
    """Within the block, whoever comes to one of these places gets no further."""
    failpoints.arm(",".join(f"{place}=error" for place in places))
    try:
        yield
    finally:
        failpoints.arm("")


def placement(
    items: Mapping[str, int], payment_token: str = "tok_approve", request_id: str = ""
) -> pb.PlaceOrderRequest:
    """The request for an order."""
    wanted = [pb.ItemToOrder(sku=sku, quantity=quantity) for sku, quantity in items.items()]
    return pb.PlaceOrderRequest(request_id=request_id or new_id(), items=wanted, payment_token=payment_token)


def steps(responses: Sequence[pb.WatchOrderResponse]) -> list[str]:
    """What happened, in words."""
    return [OrderStep.Name(response.progress.step).removeprefix("ORDER_STEP_") for response in responses]
