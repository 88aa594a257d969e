"""Rows of the inventory's database as the domain sees them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from chassis.database import Command, Reader, Row, Transaction, TransactionConflict, UniqueViolation
from chassis.database.statements import Statements
from services.inventory.domain import (
    Adjustment,
    Count,
    Locked,
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
) -> Locked | None:
    """The reservation of an order, opened for these lines if there was none, and its stock; locked."""
    values = {
        "order_id": order_id,
        "skus": [line.sku for line in lines],
        "quantities": [line.quantity for line in lines],
        "expires_at": expires_at,
    }
    opened, *rows = await tx.each(Command(SQL.open_reservation, values), *_locking(order_id))
    return _locked(rows, is_new=bool(opened))


async def close(tx: Transaction, order_id: str) -> Locked | None:
    """The reservation of an order, closed for ever if there was none, and its stock; locked."""
    closed, *rows = await tx.each(Command(SQL.close_unopened, {"order_id": order_id}), *_locking(order_id))
    return _locked(rows, is_new=bool(closed))


async def lock(tx: Transaction, order_id: str) -> Locked | None:
    """The reservation of an order, if it has one, and its stock; locked."""
    return _locked(await tx.each(*_locking(order_id)), is_new=False)


async def lock_expired(tx: Transaction, now: datetime, *, at_most: int) -> tuple[list[Reservation], dict[str, Stock]]:
    """Reservations whose time has run out, but those that another transaction holds, and their stock; locked."""
    reservations = await tx.all(SQL.lock_expired, now=now, at_most=at_most)
    if not reservations:
        return [], {}
    of_orders = {"order_ids": [row["order_id"] for row in reservations]}
    lines, stock = await tx.each(Command(SQL.find_lines, of_orders), Command(SQL.lock_stock_of, of_orders))
    by_order = {order_id: list(rows) for order_id, rows in groupby(lines, key=itemgetter("order_id"))}
    return [_reservation(row, by_order.get(row["order_id"], [])) for row in reservations], _stock(stock)


def save(tx: Transaction, reservations: Sequence[Reservation], stock: Iterable[Stock]) -> None:
    """Store how reservations and stock, which this transaction has locked, stand now; along with the COMMIT."""
    if reservations:
        tx.before_commit(
            SQL.save_reservations,
            order_ids=[each.order_id for each in reservations],
            states=[each.state for each in reservations],
            expires_at=[each.expires_at for each in reservations],
            versions=[each.version for each in reservations],
        )
    if changed := list(stock):
        tx.before_commit(SQL.save_stock, **_stock_columns(changed))


async def find_reservation(reader: Reader, order_id: str) -> Reservation | None:
    """The reservation of an order."""
    rows = await reader.all(SQL.find_reservation, order_id=order_id)
    return _reservation(rows[0], [row for row in rows if row["sku"]]) if rows else None


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
        await tx.each(
            Command(SQL.add_receipts, {"at": at, **_journal(count.fresh)}),
            Command(SQL.save_stock, _stock_columns(count.changed)),
        )
    except UniqueViolation as error:
        # Another count has stored a line under one of these ids, for a product this one does not lock.
        raise TransactionConflict("another count stored a line with the same request id") from error


def _locking(order_id: str) -> list[Command]:
    of_order = {"order_ids": [order_id]}
    return [
        Command(SQL.lock_reservation, {"order_id": order_id}),
        Command(SQL.find_lines, of_order),
        Command(SQL.lock_stock_of, of_order),
    ]


def _locked(rows: Sequence[Sequence[Row]], *, is_new: bool) -> Locked | None:
    reservation, lines, stock = rows
    return Locked(_reservation(reservation[0], lines), _stock(stock), is_new=is_new) if reservation else None


def _reservation(row: Row, lines: Sequence[Row]) -> Reservation:
    return Reservation(
        order_id=str(row["order_id"]),
        lines=tuple(ReservationLine(line["sku"], line["quantity"]) for line in lines),
        state=State(row["state"]),
        expires_at=row["expires_at"],
        version=row["version"],
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


def _stock_columns(stock: Sequence[Stock]) -> dict[str, list[Any]]:
    return {
        "skus": [each.sku for each in stock],
        "on_hand": [each.on_hand for each in stock],
        "reserved": [each.reserved for each in stock],
        "versions": [each.version for each in stock],
    }
