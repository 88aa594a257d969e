"""Inventory as its callers see it, for tests."""

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC

from google.protobuf.message import Message

from chassis.testing import ManualClock, RunningService, Tokens, running
from services.inventory.__main__ import service
from services.inventory.settings import Settings
from tradewind.inventory.v1 import inventory_service_pb2 as pb
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.inventory.v1.stock_events_pb2 import StockCommitted, StockDepleted, StockReleased, StockReserved
from tradewind.inventory.v1.stock_pb2 import RESERVATION_STATE_HELD, Reservation, StockLine

FACTS = {fact.DESCRIPTOR.full_name: fact for fact in (StockCommitted, StockDepleted, StockReleased, StockReserved)}


@dataclass
class Inventory:
    """The service as orders, staff and shoppers see it."""

    it: RunningService
    clock: ManualClock
    orders: InventoryServiceStub
    staff: InventoryServiceStub
    anyone: InventoryServiceStub

    async def reserve(self, order_id: str, request_id: str = "", **lines: int) -> Reservation:
        """Hold stock for an order."""
        wanted = [StockLine(sku=sku, quantity=quantity) for sku, quantity in lines.items()]
        request = pb.ReserveStockRequest(request_id=request_id or new_id(), order_id=order_id, lines=wanted)
        return (await self.orders.ReserveStock(request)).reservation

    async def release(self, order_id: str, request_id: str = "") -> Reservation:
        """Give it back."""
        request = pb.ReleaseStockRequest(request_id=request_id or new_id(), order_id=order_id)
        return (await self.orders.ReleaseStock(request)).reservation

    async def commit(self, order_id: str, request_id: str = "") -> Reservation:
        """Take it from the shelf."""
        request = pb.CommitStockRequest(request_id=request_id or new_id(), order_id=order_id)
        return (await self.orders.CommitStock(request)).reservation

    async def count(self, *lines: pb.AdjustStockRequest) -> list[pb.AdjustStockResponse]:
        """Send lines without waiting for the answers."""
        return [answer async for answer in self.staff.AdjustStock(iter(lines))]

    async def stock(self, **on_hand: int) -> None:
        """Let so many come in."""
        answers = await self.count(*(line(sku, delta) for sku, delta in on_hand.items()))
        assert [answer for answer in answers if not answer.accepted] == []

    async def available(self, *skus: str) -> list[tuple[int, int, int]]:
        """What is on hand, reserved and available of each."""
        response = await self.anyone.GetAvailability(pb.GetAvailabilityRequest(skus=skus))
        assert [each.sku for each in response.availability] == list(skus)
        return [(each.on_hand, each.reserved, each.available) for each in response.availability]

    async def reservation(self, order_id: str) -> Reservation:
        """What staff sees of an order's reservation."""
        request = pb.GetReservationRequest(order_id=order_id)
        return (await self.staff.GetReservation(request)).reservation

    async def state(self, order_id: str) -> int:
        """Where the order's reservation stands."""
        return (await self.reservation(order_id)).state

    async def facts(self) -> list[Message]:
        """Everything it told the world, oldest first."""
        async with self.it.database.read() as reader:
            rows = await reader.all("SELECT type, payload FROM outbox ORDER BY position")
        return [FACTS[row["type"]].FromString(row["payload"]) for row in rows]

    async def reserve_each(self, order_ids: Iterable[str], **lines: int) -> None:
        """Hold the same stock for each of many orders, one after another: at once, they would wait for its row too long."""
        for order_id in order_ids:
            await self.reserve(order_id, **lines)

    async def expire_each(self, order_ids: Iterable[str]) -> None:
        """Let the reservation of each order run out."""
        for order_id in order_ids:
            await self.expire(order_id)

    async def expire(self, order_id: str) -> None:
        """Move the clock until the order's reservation has run out, and on until the sweeper has seen it."""
        held = await self.reservation(order_id)
        left = held.expire_time.ToDatetime(UTC) - self.clock.now()
        await self.clock.advance(left.total_seconds())
        while await self.state(order_id) == RESERVATION_STATE_HELD:
            await self.clock.advance(Settings().sweep_seconds)


@asynccontextmanager
async def running_inventory(database_url: str) -> AsyncIterator[Inventory]:
    """The service on its database, with whatever is in it."""
    clock = ManualClock()
    tokens = Tokens()
    async with running(service, "services.inventory", database_url=database_url, clock=clock, tokens=tokens) as it:
        yield Inventory(
            it,
            clock,
            orders=InventoryServiceStub(it.channel(peer="orders")),
            staff=InventoryServiceStub(it.channel(token=tokens.staff())),
            anyone=InventoryServiceStub(it.channel()),
        )


def new_id() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())


def line(sku: str, delta: int, *, request_id: str = "", note: str = "delivery 4711") -> pb.AdjustStockRequest:
    """One line of a count."""
    return pb.AdjustStockRequest(request_id=request_id or new_id(), sku=sku, delta=delta, note=note)
