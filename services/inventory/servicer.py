"""Inventory's contract, answered by its use cases."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from chassis.contract.wire import timestamp
from chassis.core import ids
from chassis.rpc.call import Call
from services.inventory.domain import (
    Adjustment,
    Receipt,
    RejectionReason,
    Reservation,
    ReservationLine,
    State,
    Stock,
    canonical,
)
from services.inventory.publisher import line_messages
from services.inventory.usecases import UseCases
from tradewind.inventory.v1 import inventory_service_pb2 as pb
from tradewind.inventory.v1 import stock_pb2

STORED_TOGETHER: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InventoryServicer:
    """tradewind.inventory.v1.InventoryService."""

    usecases: UseCases

    async def ReserveStock(self, request: pb.ReserveStockRequest, call: Call) -> pb.ReserveStockResponse:
        """Hold stock for an order."""
        lines = [ReservationLine(canonical(line.sku), line.quantity) for line in request.lines]
        async with call.once() as tx:
            reservation = await self.usecases.reserve(tx, request.order_id, lines)
            return tx.reply(pb.ReserveStockResponse(reservation=_reservation_message(reservation)))

    async def ReleaseStock(self, request: pb.ReleaseStockRequest, call: Call) -> pb.ReleaseStockResponse:
        """Give held stock back."""
        async with call.once() as tx:
            reservation = await self.usecases.release(tx, request.order_id)
            return tx.reply(pb.ReleaseStockResponse(reservation=_reservation_message(reservation)))

    async def CommitStock(self, request: pb.CommitStockRequest, call: Call) -> pb.CommitStockResponse:
        """Take held stock from the shelf."""
        async with call.once() as tx:
            reservation = await self.usecases.commit(tx, request.order_id)
            return tx.reply(pb.CommitStockResponse(reservation=_reservation_message(reservation)))

    async def AdjustStock(
        self, requests: AsyncIterator[pb.AdjustStockRequest], call: Call
    ) -> AsyncIterator[pb.AdjustStockResponse]:
        """Answer the lines of a count."""
        async with aclosing(_arrived(requests)) as groups:
            async for group in groups:
                receipts = await self.usecases.adjust([_adjustment(line, call) for line in group])
                for line, receipt in zip(group, receipts, strict=True):
                    yield _receipt_message(line, receipt)

    async def GetAvailability(self, request: pb.GetAvailabilityRequest, call: Call) -> pb.GetAvailabilityResponse:
        """How much there is of some products."""
        stock = await self.usecases.get_availability([canonical(sku) for sku in request.skus])
        return pb.GetAvailabilityResponse(availability=map(_availability_message, stock))

    async def GetReservation(self, request: pb.GetReservationRequest, call: Call) -> pb.GetReservationResponse:
        """The reservation of an order."""
        reservation = await self.usecases.get_reservation(request.order_id)
        return pb.GetReservationResponse(reservation=_reservation_message(reservation))


async def _arrived(requests: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
    """What a stream brings, in groups: each is what has arrived while the one before was stored."""
    arrived = asyncio.Queue[T | None]()
    room = asyncio.Semaphore(STORED_TOGETHER)

    async def receive() -> None:
        async for request in requests:
            await room.acquire()
            arrived.put_nowait(request)

    receiving = asyncio.create_task(receive())
    # None comes last, whether the stream ended well or not.
    receiving.add_done_callback(lambda _: arrived.put_nowait(None))
    is_open = True
    try:
        while is_open:
            waiting = [await arrived.get()]
            while not arrived.empty():
                waiting.append(arrived.get_nowait())
            is_open = waiting[-1] is not None
            if group := [request for request in waiting if request is not None]:
                for _ in group:
                    room.release()
                yield group
        await receiving
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def _adjustment(request: pb.AdjustStockRequest, call: Call) -> Adjustment:
    return Adjustment(
        request_id=ids.canonical(request.request_id),
        sku=canonical(request.sku),
        delta=request.delta,
        note=request.note,
        adjusted_by=call.user.subject,
    )


def _receipt_message(line: pb.AdjustStockRequest, receipt: Receipt) -> pb.AdjustStockResponse:
    return pb.AdjustStockResponse(
        # As it was sent: whoever waits for this answer looks for the spelling they know.
        request_id=line.request_id,
        accepted=receipt.rejection is None,
        rejection=_REJECTIONS[receipt.rejection] if receipt.rejection else stock_pb2.ADJUSTMENT_REJECTION_UNSPECIFIED,
        availability=_availability_message(receipt.stock),
    )


def _availability_message(stock: Stock) -> stock_pb2.Availability:
    return stock_pb2.Availability(
        sku=stock.sku, on_hand=stock.on_hand, reserved=stock.reserved, available=stock.available
    )


def _reservation_message(reservation: Reservation) -> stock_pb2.Reservation:
    return stock_pb2.Reservation(
        order_id=reservation.order_id,
        lines=line_messages(reservation.lines),
        state=_STATES[reservation.state],
        expire_time=timestamp(reservation.expires_at) if reservation.expires_at else None,
    )


_REJECTIONS = {
    reason: stock_pb2.AdjustmentRejection.Value(f"ADJUSTMENT_REJECTION_{reason}") for reason in RejectionReason
}

_STATES = {
    State.HELD: stock_pb2.RESERVATION_STATE_HELD,
    State.COMMITTED: stock_pb2.RESERVATION_STATE_COMMITTED,
    State.RELEASED: stock_pb2.RESERVATION_STATE_RELEASED,
    State.EXPIRED: stock_pb2.RESERVATION_STATE_EXPIRED,
}
