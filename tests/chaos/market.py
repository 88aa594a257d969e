"""Customers who order while things break, and remember which orders were accepted."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos import invariants
from tests.chaos.doors import Doors
from tests.chaos.records import Records
from tests.journeys.world import Person, new_id
from tests.waiting import insisted, until_nothing
from tools.stack.fakes.provider.domain import Card
from tools.stack.stack import Stack
from tradewind.orders.v1 import order_service_pb2 as pb
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub

ORCHESTRATORS = ("orders", "orders-2", "orders-3")
PLENTY = 10_000


@dataclass
class Market:
    """Two products that nobody has bought yet, one of them with a single piece; and who buys them."""

    stack: Stack
    doors: Doors
    customer: Person
    lantern: str
    rarity: str
    accepted: list[str] = field(default_factory=list)
    """Every order somebody was told of."""

    async def place(self, *, sku: str = "", card: str = Card.APPROVE, at: str = "orders", request_id: str = "") -> str:
        """The id of an order placed at one process of orders, however often that has to be asked."""
        request = pb.PlaceOrderRequest(
            request_id=request_id or new_id(),
            items=[pb.ItemToOrder(sku=sku or self.lantern, quantity=2 if sku != self.rarity else 1)],
            payment_token=card,
        )
        orders = OrderServiceStub(self.doors[at])
        answer = await insisted(lambda: orders.PlaceOrder(request, metadata=self.customer.metadata, timeout=5))
        order_id: str = answer.order.order_id
        self.accepted.append(order_id)
        return order_id

    async def orders(self, count: int, *counters: str) -> list[str]:
        """So many orders at each of these processes, all at once. Nothing stands in their way."""
        return await asyncio.gather(*(self.place(at=counter) for counter in counters for _ in range(count)))

    async def crowd(self, *counters: str) -> "Crowd":
        """Orders of every kind at each of these processes, all at once."""
        good, rivals, _ = await asyncio.gather(
            self.orders(2, *counters),
            asyncio.gather(*(self.place(sku=self.rarity, at=counter) for counter in counters)),
            asyncio.gather(*(self.place(card=Card.DECLINE, at=counter) for counter in counters)),
        )
        return Crowd(good, rivals)

    async def cancel(self, order_id: str, *, at: str = "orders") -> None:
        """Have an order undone."""
        request = pb.CancelOrderRequest(request_id=new_id(), order_id=order_id)
        orders = OrderServiceStub(self.doors[at])
        await insisted(lambda: orders.CancelOrder(request, metadata=self.customer.metadata, timeout=5))

    @property
    def records(self) -> Records:
        """What is kept of the orders."""
        return Records(self.stack, self.doors)

    async def end(self) -> None:
        """Return once all orders have ended."""
        await until_nothing(lambda: self.records.moving((self.lantern, self.rarity)))

    async def come_to_rest(self) -> dict[str, str]:
        """The state of every order, once all have ended and every promise was found kept."""
        return await invariants.hold(self.records, self.accepted, (self.lantern, self.rarity))


@dataclass(frozen=True)
class Crowd:
    """Orders that were accepted, by what is to become of them; whoever else is in it has a card that is declined."""

    good: Sequence[str]
    """Nothing stands in their way."""
    rivals: Sequence[str]
    """They all want the last piece."""

    def came_out_well(self, states: dict[str, str]) -> bool:
        """Whether the deaths on their way have changed no outcome."""
        confirmed = sorted(order_id for order_id, state in states.items() if state == "CONFIRMED")
        winners = [order_id for order_id in self.rivals if order_id in confirmed]
        return len(winners) == 1 and confirmed == sorted([*self.good, *winners])
