"""A service whose methods do what the test says, behind the real chassis: it has inventory's contract, and none of its code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chassis.process.runtime import Runtime, Service
from chassis.testing import RunningService, running
from tradewind.inventory.v1 import inventory_service_pb2 as pb
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

__all__ = ["ORDER_ID", "REQUEST_ID", "InventoryServiceStub", "Stub", "availability", "pb", "reservation", "serving"]

ORDER_ID = "01a1fb7d-0c49-75ae-85aa-b52d6a6bd7dc"
REQUEST_ID = "01a1fb7d-0c4a-7f31-be2e-9308c3fd2239"


class Stub:
    """Its methods are given as keyword arguments; the others answer with nothing in particular."""

    def __init__(self, **methods: Any) -> None:
        self.__dict__.update(methods)

    async def GetAvailability(self, _request: Any, _call: Any) -> pb.GetAvailabilityResponse:
        """Nothing is there."""
        return pb.GetAvailabilityResponse()

    async def GetReservation(self, _request: Any, _call: Any) -> pb.GetReservationResponse:
        """Nothing is held."""
        return pb.GetReservationResponse()

    async def ReserveStock(self, _request: Any, call: Any) -> pb.ReserveStockResponse:
        """Holds nothing, once."""
        async with call.once() as tx:
            return tx.reply(pb.ReserveStockResponse())

    ReleaseStock = CommitStock = ReserveStock

    async def AdjustStock(self, requests: Any, _call: Any) -> AsyncIterator[pb.AdjustStockResponse]:
        """Takes every line."""
        async for request in requests:
            yield pb.AdjustStockResponse(request_id=request.request_id, accepted=True)


@asynccontextmanager
async def serving(database_url: str, stub: Stub | None = None, **settings: Any) -> AsyncIterator[RunningService]:
    """The stub as a running service."""

    def wiring(_: Runtime) -> Service:
        return Service(servicers={"tradewind.inventory.v1.InventoryService": stub or Stub()})

    async with running(wiring, "services.inventory", database_url=database_url, **settings) as service:
        yield service


def availability(*skus: str) -> pb.GetAvailabilityRequest:
    """A valid request of a method that is open to anyone."""
    return pb.GetAvailabilityRequest(skus=skus or ["LAMP"])


def reservation(**fields: Any) -> pb.ReserveStockRequest:
    """A valid request of a method that changes something, and that only services may call."""
    content = {"request_id": REQUEST_ID, "order_id": ORDER_ID, "lines": [{"sku": "LAMP", "quantity": 1}], **fields}
    return pb.ReserveStockRequest(**content)
