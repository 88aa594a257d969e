"""Rows of the notifications' database as the domain sees them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.database import Reader, Row, Transaction
from chassis.database.statements import Statements
from services.notifications.domain import (
    Delivery,
    Money,
    Order,
    OrderLine,
    PendingMail,
    Preferences,
    Recipient,
    State,
    Template,
    Topic,
)

SQL = Statements("services.notifications")


def add_recipient(tx: Transaction, recipient: Recipient) -> None:
    """Remember where a user can be written to; along with the commit."""
    tx.before_commit(
        SQL.add_recipient,
        user_id=recipient.user_id,
        email=recipient.email,
        display_name=recipient.display_name,
    )


def queue(tx: Transaction, delivery: Delivery, event_id: str, order: Order | None) -> None:
    """Queue a delivery along with the commit: suppressed if its topic is muted, not at all if its fact was told before."""
    tx.before_commit(
        SQL.queue,
        delivery_id=delivery.delivery_id,
        event_id=event_id,
        user_id=delivery.user_id,
        template=delivery.template.value,
        topic=delivery.template.topic.value,
        order_told=_order_json(order) if order else None,
        now=delivery.created_at,
    )


async def lease(reader: Reader, now: datetime, until: datetime, *, at_most: int) -> list[PendingMail]:
    """Take deliveries that are due and whose recipient is known, the oldest first; nobody else gets them until then."""
    rows = await reader.all(SQL.lease, now=now, until=until, at_most=at_most)
    return sorted(map(_pending_mail, rows), key=lambda pending: pending.delivery.delivery_id)


async def settle(reader: Reader, deliveries: Sequence[Delivery], leased_until: datetime) -> None:
    """Store what became of deliveries that were leased until then; those that another sender has meanwhile are left alone."""
    await reader.execute(
        SQL.settle,
        delivery_ids=[each.delivery_id for each in deliveries],
        states=[each.state.value for each in deliveries],
        attempts=[each.attempts for each in deliveries],
        last_reasons=[each.last_reason for each in deliveries],
        due_at=[each.due_at for each in deliveries],
        sent_at=[each.sent_at for each in deliveries],
        leased_until=leased_until,
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent."""

    queued: int
    due_at: datetime | None
    """When the first of it was or will be due."""


async def backlog(reader: Reader) -> Backlog:
    """What waits to be sent now."""
    return Backlog(**await reader.one(SQL.backlog))


async def list_deliveries(
    reader: Reader, *, user_id: str | None, state: State | None, before: str, limit: int
) -> list[Delivery]:
    """Deliveries from before another one, the newest first. `user_id` None: to whomever."""
    page = {"state": state.value if state else None, "before": before, "limit": limit}
    if user_id is None:
        return [_delivery(row) for row in await reader.all(SQL.list_deliveries, **page)]
    return [_delivery(row) for row in await reader.all(SQL.list_deliveries_to, user_id=user_id, **page)]


async def lock_delivery(tx: Transaction, delivery_id: str) -> Delivery | None:
    """A delivery, held until the transaction ends."""
    row = await tx.first(SQL.lock_delivery, delivery_id=delivery_id)
    return _delivery(row) if row else None


def queue_again(tx: Transaction, delivery: Delivery) -> None:
    """Queue a delivery that this transaction holds once more, along with the commit."""
    tx.before_commit(SQL.queue_again, delivery_id=delivery.delivery_id, due_at=delivery.due_at)


async def forget(reader: Reader, created_before: datetime, *, at_most: int) -> int:
    """Remove deliveries that are over and were made before then; how many they were."""
    return await reader.execute(SQL.forget, created_before=created_before, at_most=at_most)


async def find_preferences(reader: Reader, user_id: str) -> Preferences | None:
    """What a user wants to hear of; None when they never said."""
    row = await reader.first(SQL.find_preferences, user_id=user_id)
    return _preferences(row) if row else None


async def lock_preferences(tx: Transaction, user_id: str) -> Preferences:
    """What a user wants to hear of, held until the transaction ends."""
    return _preferences(await tx.one(SQL.lock_preferences, user_id=user_id))


def save_preferences(tx: Transaction, preferences: Preferences) -> None:
    """Store preferences that this transaction holds, along with the commit."""
    tx.before_commit(
        SQL.save_preferences,
        user_id=preferences.user_id,
        muted_topics=sorted(topic.value for topic in preferences.muted_topics),
        version=preferences.version,
    )


def _pending_mail(row: Row) -> PendingMail:
    recipient = Recipient(row["user_id"], row["email"], row["display_name"])
    return PendingMail(_delivery(row), recipient, _order(row["order_told"]) if row["order_told"] else None)


def _delivery(row: Row) -> Delivery:
    return Delivery(
        delivery_id=str(row["delivery_id"]),
        user_id=row["user_id"],
        template=Template(row["template"]),
        state=State(row["state"]),
        attempts=row["attempts"],
        last_reason=row["last_reason"],
        due_at=row["due_at"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
    )


def _order_json(order: Order) -> str:
    return json.dumps(
        {
            "order_id": order.order_id,
            "lines": [[line.name, line.quantity, *_money_json(line.price)] for line in order.lines],
            "total": _money_json(order.total),
            "cancel_reason": order.cancel_reason,
        }
    )


def _money_json(money: Money) -> tuple[str, int]:
    return money.currency_code, money.minor_units


def _order(told: Row) -> Order:
    return Order(
        order_id=told["order_id"],
        lines=tuple(OrderLine(name, quantity, Money(*price)) for name, quantity, *price in told["lines"]),
        total=Money(*told["total"]),
        cancel_reason=told["cancel_reason"],
    )


def _preferences(row: Row) -> Preferences:
    return Preferences(row["user_id"], frozenset(map(Topic, row["muted_topics"])), row["version"])
