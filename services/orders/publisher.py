"""What happened to orders, told as facts: one when it is placed, one when it ends."""

from chassis.contract.wire import timestamp
from chassis.database import Transaction
from services.orders.domain import Money, Order, OrderLine
from tradewind.orders.v1 import order_pb2
from tradewind.orders.v1.order_events_pb2 import OrderCancelled, OrderConfirmed, OrderPlaced
from tradewind.type.v1 import money_pb2

FIRST_FACT, LAST_FACT = 1, 2


def order_placed(tx: Transaction, order: Order) -> None:
    """An order was accepted."""
    tx.publish(
        OrderPlaced(
            order_id=order.order_id,
            aggregate_version=FIRST_FACT,
            customer_id=order.customer_id,
            lines=map(line_message, order.lines),
            total=money_message(order.total),
            occur_time=timestamp(order.placed_at),
        )
    )


def order_confirmed(tx: Transaction, order: Order) -> None:
    """An order is paid and its stock taken."""
    tx.publish(
        OrderConfirmed(
            order_id=order.order_id,
            aggregate_version=LAST_FACT,
            customer_id=order.customer_id,
            lines=map(line_message, order.lines),
            total=money_message(order.total),
            occur_time=timestamp(order.updated_at),
        )
    )


def order_cancelled(tx: Transaction, order: Order) -> None:
    """An order came to nothing."""
    tx.publish(
        OrderCancelled(
            order_id=order.order_id,
            aggregate_version=LAST_FACT,
            customer_id=order.customer_id,
            lines=map(line_message, order.lines),
            total=money_message(order.total),
            cancel_reason=cancel_reason(order.cancel_reason),
            occur_time=timestamp(order.updated_at),
        )
    )


def line_message(line: OrderLine) -> order_pb2.OrderLine:
    """A line on the wire."""
    return order_pb2.OrderLine(
        sku=line.sku, name=line.name, quantity=line.quantity, unit_price=money_message(line.unit_price)
    )


def cancel_reason(reason: str) -> order_pb2.CancelReason.ValueType:
    """The reason on the wire, OTHER for one that the contract has no name for: whatever a peer has refused a step with."""
    name = f"CANCEL_REASON_{reason or 'UNSPECIFIED'}"
    known = order_pb2.CancelReason.keys()
    return order_pb2.CancelReason.Value(name) if name in known else order_pb2.CANCEL_REASON_OTHER


def money_message(money: Money) -> money_pb2.Money:
    """An amount on the wire."""
    return money_pb2.Money(currency_code=money.currency_code, minor_units=money.minor_units)
