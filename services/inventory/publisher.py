"""What happened to stock, told as facts; and stock as the world sees it, in facts and in answers alike."""

from collections.abc import Iterable
from datetime import datetime

from chassis.contract.wire import timestamp
from chassis.database import Transaction
from services.inventory.domain import Move, ReservationLine, State, Stock
from tradewind.inventory.v1.stock_events_pb2 import StockCommitted, StockDepleted, StockReleased, StockReserved
from tradewind.inventory.v1.stock_pb2 import StockLine


def reservation_moved(tx: Transaction, move: Move, at: datetime) -> None:
    """A reservation is in another state, and its stock with it."""
    tx.publish(_FACTS[move.aim](move, at))
    for stock in move.depleted:
        stock_depleted(tx, stock, at)


def stock_depleted(tx: Transaction, stock: Stock, at: datetime) -> None:
    """The last of a product that could be sold is gone."""
    tx.publish(StockDepleted(sku=stock.sku, aggregate_version=stock.version, occur_time=timestamp(at)))


def line_messages(lines: Iterable[ReservationLine]) -> list[StockLine]:
    """Lines on the wire."""
    return [StockLine(sku=line.sku, quantity=line.quantity) for line in lines]


def _reserved(move: Move, at: datetime) -> StockReserved:
    return StockReserved(
        order_id=move.reservation.order_id,
        aggregate_version=move.reservation.version,
        lines=line_messages(move.reservation.lines),
        expire_time=timestamp(move.reservation.expires_at) if move.reservation.expires_at else None,
        occur_time=timestamp(at),
    )


def _committed(move: Move, at: datetime) -> StockCommitted:
    return StockCommitted(
        order_id=move.reservation.order_id,
        aggregate_version=move.reservation.version,
        lines=line_messages(move.reservation.lines),
        occur_time=timestamp(at),
    )


def _released(move: Move, at: datetime) -> StockReleased:
    return StockReleased(
        order_id=move.reservation.order_id,
        aggregate_version=move.reservation.version,
        lines=line_messages(move.freed),
        expired=move.aim is State.EXPIRED,
        occur_time=timestamp(at),
    )


_FACTS = {
    State.HELD: _reserved,
    State.COMMITTED: _committed,
    State.RELEASED: _released,
    State.EXPIRED: _released,
}
