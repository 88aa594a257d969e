"""What happened to payments, told as facts; and payments as the world sees them, in facts and in answers alike."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from chassis.contract.wire import timestamp
from chassis.database import Transaction
from services.payments.domain import Money, Payment, State
from tradewind.payments.v1.payment_events_pb2 import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from tradewind.type.v1 import money_pb2


def payment_went_through(tx: Transaction, stages: Iterable[Payment]) -> None:
    """A payment has reached these stages, in this order: a fact for each."""
    for stage in stages:
        tx.publish(_FACTS[stage.state](stage))


def money_message(money: Money | None) -> money_pb2.Money | None:
    """An amount on the wire."""
    return money_pb2.Money(currency_code=money.currency_code, minor_units=money.minor_units) if money else None


def _authorized(stage: Payment) -> Message:
    return PaymentAuthorized(**_identity(stage), amount=money_message(stage.amount))


def _declined(stage: Payment) -> Message:
    return PaymentDeclined(**_identity(stage), amount=money_message(stage.amount), decline_code=stage.decline_code)


def _captured(stage: Payment) -> Message:
    return PaymentCaptured(**_identity(stage), amount=money_message(stage.amount))


def _voided(stage: Payment) -> Message:
    return PaymentVoided(**_identity(stage))


def _refunded(stage: Payment) -> Message:
    return PaymentRefunded(**_identity(stage), amount=money_message(stage.amount))


def _identity(stage: Payment) -> dict[str, Any]:
    """What every fact says: which payment, the how-manieth about it, and when."""
    return {
        "order_id": stage.order_id,
        "aggregate_version": stage.version,
        "occur_time": timestamp(stage.updated_at),
    }


_FACTS = {
    State.AUTHORIZED: _authorized,
    State.DECLINED: _declined,
    State.CAPTURED: _captured,
    State.VOIDED: _voided,
    State.REFUNDED: _refunded,
}
