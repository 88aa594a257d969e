"""The shop as the world sees it: through the edge, by HTTP and JSON here, by gRPC there."""

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

from tradewind.inventory.v1 import inventory_service_pb2 as inventory
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.orders.v1 import order_pb2
from tradewind.orders.v1 import order_service_pb2 as orders
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub


@dataclass(frozen=True)
class OrderEvent:
    """One thing that happened to an order."""

    step: str
    """Without its prefix: `PAYMENT_CAPTURED`."""
    reason: str
    """Why an order is cancelled, without its prefix: `OUT_OF_STOCK`. Empty for a step that has no reason."""
    state: str


class ApiError(Exception):
    """The shop answered with an error; `reason` is its UPPER_SNAKE name."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"HTTP {status}: {body.get('message', body)}")
        self.reason = next((d["reason"] for d in body.get("details", ()) if "reason" in d), "")


@dataclass
class Shop:
    """A client of the edge at `address` (HOST:PORT). `token` is that of whoever is logged in."""

    address: str
    http: httpx.AsyncClient = field(init=False)
    channel: grpc.aio.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(base_url=f"http://{self.address}", timeout=10, trust_env=False)
        self.channel = grpc.aio.insecure_channel(self.address)

    async def close(self) -> None:
        """Hangs up."""
        await self.http.aclose()
        await self.channel.close()

    async def get(self, path: str, token: str = "") -> dict[str, Any]:
        """GET, as JSON. Raises ApiError."""
        return _content(await self.http.get(path, headers=_bearer(token)))

    async def post(self, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
        """POST of a request with an id of its own, as JSON. Raises ApiError."""
        content = {"request_id": str(uuid.uuid4()), **body}
        return _content(await self.http.post(path, json=content, headers=_bearer(token)))

    async def register(self, name: str, email: str, password: str) -> None:
        """Opens an account."""
        await self.post("/v1/users", {"email": email, "password": password, "display_name": name})

    async def log_in(self, email: str, password: str) -> str:
        """An access token."""
        answer = await self.post("/v1/sessions", {"email": email, "password": password})
        token: str = answer["tokens"]["access_token"]
        return token

    async def place_order(self, token: str, items: dict[str, int], payment_token: str) -> dict[str, Any]:
        """The order, PENDING."""
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in items.items()]
        answer = await self.post("/v1/orders", {"items": lines, "payment_token": payment_token}, token)
        order: dict[str, Any] = answer["order"]
        return order

    async def watch_by_http(self, token: str, order_id: str) -> AsyncIterator[OrderEvent]:
        """What happens to an order, as server-sent events."""
        async with self.http.stream("GET", f"/v1/orders/{order_id}:watch", headers=_bearer(token)) as stream:
            if stream.is_error:
                await stream.aread()
                _content(stream)
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    event = json.loads(line.removeprefix("data:"))
                    progress = event["progress"]
                    yield _happening(progress["step"], progress["cancel_reason"], event["state"])

    async def watch_by_grpc(self, token: str, order_id: str) -> AsyncIterator[OrderEvent]:
        """What happens to an order, as a gRPC stream."""
        request = orders.WatchOrderRequest(order_id=order_id)
        stream = OrderServiceStub(self.channel).WatchOrder(request, metadata=_metadata(token), timeout=60)
        async for event in stream:
            step = order_pb2.OrderStep.Name(event.progress.step)
            reason = order_pb2.CancelReason.Name(event.progress.cancel_reason)
            yield _happening(step, reason, order_pb2.OrderState.Name(event.state))

    async def adjust_stock(self, token: str, deltas: dict[str, int]) -> AsyncIterator[inventory.AdjustStockResponse]:
        """The answers to the lines of a count, one by one, over a bidirectional gRPC stream."""
        stream = InventoryServiceStub(self.channel).AdjustStock(_lines(deltas), metadata=_metadata(token), timeout=60)
        async for answer in stream:
            yield answer

    async def availability(self, skus: Iterable[str]) -> dict[str, int]:
        """How many of each can be sold."""
        answer = await InventoryServiceStub(self.channel).GetAvailability(
            inventory.GetAvailabilityRequest(skus=skus), timeout=5
        )
        return {line.sku: line.available for line in answer.availability}


async def _lines(deltas: dict[str, int]) -> AsyncIterator[inventory.AdjustStockRequest]:
    for sku, delta in deltas.items():
        yield inventory.AdjustStockRequest(
            request_id=str(uuid.uuid4()), sku=sku, delta=delta, note="delivery of the morning"
        )


def _happening(step: str, reason: str, state: str) -> OrderEvent:
    # Over HTTP, too, a step without a reason names one: the edge writes what is not set.
    why = reason.removeprefix("CANCEL_REASON_").replace("UNSPECIFIED", "")
    return OrderEvent(step.removeprefix("ORDER_STEP_"), why, state.removeprefix("ORDER_STATE_"))


def _content(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if response.is_error:
        raise ApiError(response.status_code, body)
    return body


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return tuple(_bearer(token).items())
