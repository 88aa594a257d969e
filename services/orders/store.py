"""Rows of the orders' database as the domain sees them."""

import json
from collections.abc import Sequence
from typing import Any

from chassis.database import Reader, Row, Transaction
from chassis.database.statements import Statements
from services.orders.domain import Money, Order, OrderLine, OrderState, OrderStep, Progress

SQL = Statements("services.orders")
AFTER_ALL = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def place(tx: Transaction, order: Order) -> None:
    """Store a new order and its first event, along with the COMMIT."""
    lines = [[line.sku, line.name, line.quantity, line.unit_price.minor_units] for line in order.lines]
    columns = {
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "lines": json.dumps(lines),
        "currency_code": order.total.currency_code,
        "minor_units": order.total.minor_units,
        "placed_at": order.placed_at,
    }
    payload = {**columns, "lines": lines, "placed_at": order.placed_at.isoformat()}
    tx.before_commit(SQL.place_order, **columns, payload=json.dumps(payload))


def append(tx: Transaction, order: Order, happened: Sequence[Progress]) -> None:
    """Store what happened to an order and how it stands since, along with the COMMIT.

    The COMMIT fails when something else happened to the order since it was read.
    """
    tx.before_commit(
        SQL.append,
        order_id=order.order_id,
        versions=[progress.version for progress in happened],
        steps=[progress.step.value for progress in happened],
        reasons=[progress.reason for progress in happened],
        state=order.state.value,
        cancel_reason=order.cancel_reason,
        version=order.version,
        updated_at=order.updated_at,
    )


async def find(reader: Reader, order_id: str) -> Order | None:
    """An order as it stands."""
    row = await reader.first(SQL.find_order, order_id=order_id)
    return _order(row) if row else None


async def page(
    reader: Reader, *, customer_id: str, state: OrderState | None, before: str | None, limit: int
) -> list[Order]:
    """Orders before that one, the newest first. An empty customer means everybody's, no state means all."""
    rows = await reader.all(
        SQL.list_orders,
        customer_id=customer_id,
        state=state.value if state else "",
        before=before or AFTER_ALL,
        limit=limit,
    )
    return [_order(row) for row in rows]


async def progress_after(reader: Reader, order_id: str, version: int) -> list[Progress]:
    """What happened to an order after that version, in order."""
    rows = await reader.all(SQL.list_progress, order_id=order_id, after_version=version)
    return [Progress(row["version"], OrderStep(row["step"]), row["reason"], row["occurred_at"]) for row in rows]


def _order(row: Row) -> Order:
    return Order(
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        lines=_lines(row["lines"], row["currency_code"]),
        total=Money(row["currency_code"], row["minor_units"]),
        state=OrderState(row["state"]),
        cancel_reason=row["cancel_reason"],
        version=row["version"],
        placed_at=row["placed_at"],
        updated_at=row["updated_at"],
    )


def _lines(lines: Sequence[Any], currency_code: str) -> tuple[OrderLine, ...]:
    return tuple(
        OrderLine(sku, name, quantity, Money(currency_code, minor_units)) for sku, name, quantity, minor_units in lines
    )
