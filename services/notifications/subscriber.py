"""What notifications does when it hears of users and orders."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.database import Transaction
from chassis.messaging.consumer import Fact, Subscription
from services.notifications.domain import Money, Order, OrderLine, Recipient, Template
from services.notifications.usecases import UseCases
from tradewind.identity.v1.user_events_pb2 import UserRegistered
from tradewind.orders.v1.order_events_pb2 import OrderCancelled, OrderConfirmed
from tradewind.orders.v1.order_pb2 import CancelReason
from tradewind.orders.v1.order_pb2 import OrderLine as LineMessage
from tradewind.type.v1 import money_pb2


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The facts that become messages. None waits for another: each is told by itself."""

    usecases: UseCases

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """Which fact goes where."""
        return [
            Subscription(
                {
                    UserRegistered: self.user_registered,
                    OrderConfirmed: self.order_confirmed,
                    OrderCancelled: self.order_cancelled,
                }
            )
        ]

    async def user_registered(self, tx: Transaction, event: UserRegistered, fact: Fact) -> None:
        """A person has an account."""
        await self.usecases.welcome(tx, fact.id, Recipient(event.user_id, event.email, event.display_name))

    async def order_confirmed(self, tx: Transaction, event: OrderConfirmed, fact: Fact) -> None:
        """An order is paid and its stock taken."""
        await self.usecases.tell_of_order(tx, fact.id, event.customer_id, Template.ORDER_CONFIRMED, _order(event))

    async def order_cancelled(self, tx: Transaction, event: OrderCancelled, fact: Fact) -> None:
        """An order came to nothing."""
        order = _order(event, _CANCEL_REASONS.get(event.cancel_reason, ""))
        await self.usecases.tell_of_order(tx, fact.id, event.customer_id, Template.ORDER_CANCELLED, order)


def _order(event: OrderConfirmed | OrderCancelled, cancel_reason: str = "") -> Order:
    return Order(event.order_id, tuple(map(_line, event.lines)), _money(event.total), cancel_reason)


def _line(line: LineMessage) -> OrderLine:
    return OrderLine(line.name, line.quantity, _money(line.unit_price) * line.quantity)


def _money(money: money_pb2.Money) -> Money:
    return Money(money.currency_code, money.minor_units)


_CANCEL_REASONS = {number: name.removeprefix("CANCEL_REASON_") for name, number in CancelReason.items()}
