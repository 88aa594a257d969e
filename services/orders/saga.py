"""How an order travels: stock is held, the money is held, the money is taken, the stock leaves the shelf."""

from datetime import datetime, timedelta
from typing import Any

from chassis.core import ids
from chassis.core.clock import Clock
from chassis.database import Transaction
from chassis.saga.definition import Definition, Step
from chassis.saga.history import EntryKind, HistoryEntry
from chassis.saga.machine import Direction, State, Transition
from chassis.saga.plan import Backoff
from services.orders.domain import Checkout, Item, Money, OrderStep
from services.orders.peers import Peers
from services.orders.settings import Settings
from services.orders.usecases.progress import ProgressLog

KIND = "checkout"


def checkout(peers: Peers, progress: ProgressLog, clock: Clock, settings: Settings) -> Definition[Checkout]:
    """Until the payment is captured everything can be undone; from then on the order goes through."""
    stock_trusted = timedelta(seconds=settings.stock_trusted_seconds)

    async def capture_payment(data: Checkout, request_id: str) -> None:
        """Take the money; of an order that was long on its way, only once its stock is held still, or again."""
        if clock.now() - data.placed_at > stock_trusted:
            # Under the request id it was reserved by, the answer would be the one it got then.
            await peers.reserve_stock(data, ids.uuid7())
        await peers.capture_payment(data, request_id)

    async def record(tx: Transaction, data: Checkout, transition: Transition) -> None:
        happened = [step for entry in transition.news for step in _steps(entry, transition.state)]
        if happened:
            await progress.record(tx, data, happened, transition.news[-1].at)

    return Definition(
        KIND,
        steps=(
            Step("reserve_stock", do=peers.reserve_stock, undo=peers.release_stock),
            Step("authorize_payment", do=peers.authorize_payment, undo=peers.void_payment),
            Step("capture_payment", do=capture_payment, undo=peers.refund_payment, is_pivot=True),
            Step("commit_stock", do=peers.commit_stock),
        ),
        record=record,
        to_json=_to_json,
        from_json=_from_json,
        patience=settings.saga_patience,
        backoff=Backoff(cap=timedelta(seconds=settings.saga_longest_pause_seconds)),
    )


_DONE = {
    "reserve_stock": OrderStep.STOCK_RESERVED,
    "authorize_payment": OrderStep.PAYMENT_AUTHORIZED,
    "capture_payment": OrderStep.PAYMENT_CAPTURED,
    "commit_stock": OrderStep.STOCK_COMMITTED,
}

_UNDONE = {
    "reserve_stock": OrderStep.STOCK_RELEASED,
    "authorize_payment": OrderStep.PAYMENT_VOIDED,
    "capture_payment": OrderStep.PAYMENT_REFUNDED,
}


def _steps(entry: HistoryEntry, state: State) -> list[tuple[OrderStep, str]]:
    """What an entry of the saga means to the order, with its reason; nothing, if it is the saga's own affair."""
    match entry.what:
        case EntryKind.DONE | EntryKind.FORCED_COMPLETE:
            return [(_DONE[entry.step], "")]
        case EntryKind.UNDONE | EntryKind.FORCED_UNDONE:
            return [(_UNDONE[entry.step], "")]
        case EntryKind.CANCELLED | EntryKind.REFUSED | EntryKind.GAVE_UP | EntryKind.FORCED_COMPENSATE:
            return [(OrderStep.CANCELLING, _reason(entry))] if state.direction is Direction.UNDO else []
        case EntryKind.COMPLETED:
            return [(OrderStep.CONFIRMED, "")]
        case EntryKind.COMPENSATED:
            return [(OrderStep.CANCELLED, "")]
        case _:
            return []


def _reason(entry: HistoryEntry) -> str:
    """Why the order is cancelled, in words that mean something to its customer."""
    return "CHECKOUT_TIMED_OUT" if entry.what is EntryKind.GAVE_UP else entry.reason


def _to_json(data: Checkout) -> dict[str, Any]:
    return {
        "order_id": data.order_id,
        "items": [[item.sku, item.quantity] for item in data.items],
        "total": [data.total.currency_code, data.total.minor_units],
        "payment_token": data.payment_token,
        "placed_at": data.placed_at.isoformat(),
    }


def _from_json(json: dict[str, Any]) -> Checkout:
    return Checkout(
        order_id=json["order_id"],
        items=tuple(Item(*item) for item in json["items"]),
        total=Money(*json["total"]),
        payment_token=json["payment_token"],
        placed_at=datetime.fromisoformat(json["placed_at"]),
    )
