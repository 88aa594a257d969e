"""Rows of the inventory's database as the domain sees them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from chassis.database import Reader, Row, Transaction, TransactionConflict, UniqueViolation
from chassis.database.statements import Statements
from services.inventory.domain import (
    MAY_COME_FROM,
    Adjustment,
    Count,
    Move,
    Receipt,
    RejectionReason,
    Reservation,
    ReservationLine,
    State,
    Stock,
)

SQL = Statements("services.inventory")


async def reserve(
    tx: Transaction, order_id: str, lines: Sequence[ReservationLine], expires_at: datetime
) -> Move | None:
    """Hold stock for an order; None when it has a reservation already. After a shortage the transaction must end."""
    rows = await tx.all(
        SQL.reserve,
        order_id=order_id,
        skus=[line.sku for line in lines],
        quantities=[line.quantity for line in lines],
        expires_at=expires_at,
    )
    return _move(State.HELD, rows) if rows else None


async def move(tx: Transaction, order_id: str, aim: State, *, expires_at: datetime | None = None) -> Move | None:
    """Move a reservation to a state, if it may go there; None when there is none.

    It is locked either way until the transaction ends; after a shortage that must be at once.
    """
    rows = await tx.all(
        SQL.move, order_id=order_id, state=aim.value, movable=list(MAY_COME_FROM[aim]), expires_at=expires_at
    )
    return _move(aim, rows) if rows else None


def prolong(tx: Transaction, move: Move, expires_at: datetime) -> Move:
    """Let a reservation that is held already, and is locked, be held for longer."""
    tx.before_commit(SQL.prolong, order_id=move.reservation.order_id, expires_at=expires_at)
    return replace(move, reservation=replace(move.reservation, expires_at=expires_at))


async def close_unopened(tx: Transaction, order_id: str) -> Move | None:
    """Close the reservation of an order that has none, for ever; None when it has one."""
    rows = await tx.all(SQL.close_unopened, order_id=order_id)
    return Move(aim=State.RELEASED, before=None, reservation=_reservation(rows)) if rows else None


async def expire(tx: Transaction, now: datetime, *, at_most: int) -> list[Move]:
    """Give back reservations whose time has run out, but those that another transaction holds."""
    rows = await tx.all(SQL.expire, now=now, at_most=at_most)
    return [
        Move(aim=State.EXPIRED, before=State.HELD, reservation=_reservation(list(of_order)))
        for _, of_order in groupby(rows, key=itemgetter("order_id"))
    ]


async def find_reservation(reader: Reader, order_id: str) -> Reservation | None:
    """The reservation of an order."""
    rows = await reader.all(SQL.find_reservation, order_id=order_id)
    return _reservation(rows) if rows else None


async def find_stock(reader: Reader, skus: Sequence[str]) -> dict[str, Stock]:
    """The stock of those products that were ever counted, by SKU."""
    return _stock(await reader.all(SQL.find_stock, skus=skus))


async def lock_stock(tx: Transaction, skus: Collection[str]) -> dict[str, Stock]:
    """The stock of products, by SKU: nothing of one that was never counted. Locked until the transaction ends."""
    await tx.execute(SQL.open_stock, skus=list(skus))
    return _stock(await tx.all(SQL.lock_stock, skus=list(skus)))


async def find_receipts(tx: Transaction, request_ids: Iterable[str]) -> dict[str, Receipt]:
    """The answers given to lines before, by request id."""
    rows = await tx.all(SQL.find_receipts, request_ids=list(request_ids))
    return {receipt.adjustment.request_id: receipt for receipt in map(_receipt, rows)}


async def save_count(tx: Transaction, count: Count, at: datetime) -> None:
    """Store the fresh lines of a count and the stock they changed, which this transaction holds."""
    try:
        await tx.execute(SQL.save_count, at=at, **_journal(count.fresh), **_counted(count.changed))
    except UniqueViolation as error:
        # Another count has stored a line under one of these ids, for a product this one does not lock.
        raise TransactionConflict("another count stored a line with the same request id") from error


def _move(aim: State, rows: Sequence[Row]) -> Move:
    before = rows[0]["state_before"]
    return Move(
        aim=aim,
        before=State(before) if before else None,
        reservation=_reservation(rows),
        shortages={row["sku"]: row["available"] for row in rows if _falls_short(row)},
        depleted=tuple(
            Stock(sku=row["sku"], on_hand=row["on_hand"], reserved=row["reserved"], version=row["stock_version"])
            for row in rows
            if _takes_the_last(row)
        ),
    )


def _falls_short(row: Row) -> bool:
    return row["available"] is not None and row["stock_version"] is None


def _takes_the_last(row: Row) -> bool:
    return bool(row["stock_version"] and row["available"] and row["on_hand"] == row["reserved"])


def _reservation(rows: Sequence[Row]) -> Reservation:
    first = rows[0]
    return Reservation(
        order_id=str(first["order_id"]),
        lines=tuple(ReservationLine(row["sku"], row["quantity"]) for row in rows if row["sku"]),
        state=State(first["state"]),
        expires_at=first["expires_at"],
        version=first["version"],
    )


def _stock(rows: Iterable[Row]) -> dict[str, Stock]:
    return {row["sku"]: Stock(**row) for row in rows}


def _receipt(row: Row) -> Receipt:
    adjustment = Adjustment(
        request_id=str(row["request_id"]),
        sku=row["sku"],
        delta=row["delta"],
        note=row["note"],
        adjusted_by=row["adjusted_by"],
    )
    rejection = RejectionReason(row["refusal"]) if row["refusal"] else None
    return Receipt(adjustment, rejection, Stock(sku=row["sku"], on_hand=row["on_hand"], reserved=row["reserved"]))


def _journal(receipts: Sequence[Receipt]) -> dict[str, list[Any]]:
    return {
        "request_ids": [receipt.adjustment.request_id for receipt in receipts],
        "skus": [receipt.adjustment.sku for receipt in receipts],
        "deltas": [receipt.adjustment.delta for receipt in receipts],
        "notes": [receipt.adjustment.note for receipt in receipts],
        "adjusted_by": [receipt.adjustment.adjusted_by for receipt in receipts],
        "refusals": [receipt.rejection for receipt in receipts],
        "on_hand": [receipt.stock.on_hand for receipt in receipts],
        "reserved": [receipt.stock.reserved for receipt in receipts],
    }


def _counted(stock: Sequence[Stock]) -> dict[str, list[Any]]:
    return {
        "counted_skus": [each.sku for each in stock],
        "counted_on_hand": [each.on_hand for each in stock],
        "counted_versions": [each.version for each in stock],
    }
