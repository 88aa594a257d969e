"""Orders on the wire."""

from collections.abc import AsyncIterator

from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.core import ids
from chassis.rpc.call import Call
from services.orders.domain import Item, Order, OrderState, OrderStep, Progress
from services.orders.publisher import cancel_reason, line_message, money_message
from services.orders.usecases.orders import Orders
from tradewind.orders.v1 import order_pb2
from tradewind.orders.v1 import order_service_pb2 as pb

DEFAULT_PAGE_SIZE = 50


class OrderServicer:
    """tradewind.orders.v1.OrderService."""

    def __init__(self, orders: Orders, pages: Pages) -> None:
        self._orders = orders
        self._pages = pages

    async def PlaceOrder(self, request: pb.PlaceOrderRequest, call: Call) -> pb.PlaceOrderResponse:
        """Accept an order."""
        items = [Item(item.sku, item.quantity) for item in request.items]
        offers = await self._orders.find_offers(items)
        async with call.once(keep_forever=True) as tx:
            order = self._orders.place_order(tx, call.user, items, offers, request.payment_token)
            return tx.reply(pb.PlaceOrderResponse(order=_order_message(order)))

    async def CancelOrder(self, request: pb.CancelOrderRequest, call: Call) -> pb.CancelOrderResponse:
        """Have an order undone."""
        async with call.once() as tx:
            order = await self._orders.cancel_order(tx, call.user, request.order_id)
            return tx.reply(pb.CancelOrderResponse(order=_order_message(order)))

    async def GetOrder(self, request: pb.GetOrderRequest, call: Call) -> pb.GetOrderResponse:
        """One order."""
        return pb.GetOrderResponse(order=_order_message(await self._orders.get_order(call.user, request.order_id)))

    async def ListOrders(self, request: pb.ListOrdersRequest, call: Call) -> pb.ListOrdersResponse:
        """A page of orders."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self._pages.cursor(request, request.page_token) or {}
        orders = await self._orders.list_orders(
            call.user,
            customer_id=ids.canonical(request.customer_id),
            state=_STATES.get(request.state),
            before=cursor.get("before"),
            limit=size + 1,
        )
        page = pb.ListOrdersResponse(orders=map(_order_message, orders[:size]))
        if len(orders) > size:
            page.next_page_token = self._pages.token(request, {"before": orders[size - 1].order_id})
        return page

    async def WatchOrder(self, request: pb.WatchOrderRequest, call: Call) -> AsyncIterator[pb.WatchOrderResponse]:
        """What happens to an order, as it happens."""
        async for progress in self._orders.watch_order(
            call.user, ids.canonical(request.order_id), request.after_version
        ):
            yield pb.WatchOrderResponse(
                progress=_progress_message(progress), state=_STATE_NUMBERS[progress.step.leads_to]
            )


def _order_message(order: Order) -> order_pb2.Order:
    return order_pb2.Order(
        order_id=order.order_id,
        customer_id=order.customer_id,
        lines=map(line_message, order.lines),
        total=money_message(order.total),
        state=_STATE_NUMBERS[order.state],
        cancel_reason=cancel_reason(order.cancel_reason),
        version=order.version,
        place_time=timestamp(order.placed_at),
        update_time=timestamp(order.updated_at),
    )


def _progress_message(progress: Progress) -> order_pb2.OrderProgress:
    return order_pb2.OrderProgress(
        version=progress.version,
        step=_STEP_NUMBERS[progress.step],
        cancel_reason=cancel_reason(progress.reason),
        occur_time=timestamp(progress.occurred_at),
    )


_STATE_NUMBERS = {state: order_pb2.OrderState.Value(f"ORDER_STATE_{state}") for state in OrderState}
_STEP_NUMBERS = {step: order_pb2.OrderStep.Value(f"ORDER_STEP_{step}") for step in OrderStep}
_STATES = {number: state for state, number in _STATE_NUMBERS.items()}
