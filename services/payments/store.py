"""Payments and the ledger in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime

from chassis.core import ids
from chassis.database import Reader, Row, Transaction
from chassis.database.statements import Statements
from services.payments.domain import BOOKINGS, Booking, Intent, LedgerAccount, LedgerEntry, Money, Payment, State

SQL = Statements("services.payments")


async def intend_authorization(
    reader: Reader, order_id: str, amount: Money, *, now: datetime, ask_again_at: datetime
) -> Payment:
    """Note that the provider is about to be asked to hold the amount; return the payment the order has then."""
    row = await reader.one(
        SQL.intend_authorization,
        order_id=order_id,
        currency_code=amount.currency_code,
        minor_units=amount.minor_units,
        now=now,
        ask_again_at=ask_again_at,
    )
    return _payment(row)


async def intend_capture(reader: Reader, order_id: str, *, ask_again_at: datetime) -> Payment | None:
    """Note that the provider is about to be asked to take the amount, if it can be taken; return the payment."""
    row = await reader.first(
        SQL.intend_capture, order_id=order_id, open_in=list(Intent.CAPTURE.open_in), ask_again_at=ask_again_at
    )
    return _payment(row) if row else None


async def intend_undoing(
    reader: Reader, order_id: str, intent: Intent, *, now: datetime, ask_again_at: datetime
) -> Payment:
    """Note that the provider is about to be asked to let go of the amount, if it may have it; return the payment."""
    row = await reader.one(
        SQL.intend_undoing,
        order_id=order_id,
        intent=intent,
        open_in=list(intent.open_in),
        supersedes=list(intent.supersedes),
        now=now,
        ask_again_at=ask_again_at,
    )
    return _payment(row)


async def advance(tx: Transaction, seen: Payment, stages: Sequence[Payment]) -> bool:
    """Move a payment from where it was seen through its stages, and book them; False when it has moved meanwhile."""
    reached = stages[-1]
    advanced = await tx.execute(
        SQL.advance,
        order_id=seen.order_id,
        seen_version=seen.version,
        state=reached.state,
        decline_code=reached.decline_code,
        version=reached.version,
        updated_at=reached.updated_at,
        intents_left_open=[intent for intent in Intent if reached.state in intent.open_in],
    )
    if advanced:
        _book(tx, reached, [BOOKINGS[stage.state] for stage in stages if stage.state in BOOKINGS])
    return advanced == 1


def _book(tx: Transaction, payment: Payment, bookings: Sequence[Booking]) -> None:
    """Enter bookings into the ledger, along with the COMMIT."""
    if not bookings:
        return
    booking_ids = [ids.uuid7() for _ in bookings]
    tx.before_commit(
        SQL.book,
        order_id=payment.order_id,
        booked_at=payment.updated_at,
        booking_ids=booking_ids,
        kinds=[booking.kind for booking in bookings],
    )
    tx.before_commit(
        SQL.enter,
        order_id=payment.order_id,
        booking_ids=booking_ids,
        debits=[booking.debit for booking in bookings],
        credits=[booking.credit for booking in bookings],
    )


async def lock_payment(tx: Transaction, order_id: str) -> Payment:
    """The payment, held until the transaction ends."""
    return _payment(await tx.one(SQL.lock_payment, order_id=order_id))


async def find_payment(reader: Reader, order_id: str) -> Payment | None:
    """The payment of an order."""
    row = await reader.first(SQL.find_payment, order_id=order_id)
    return _payment(row) if row else None


async def take_overdue(reader: Reader, *, now: datetime, ask_again_at: datetime, limit: int) -> list[Payment]:
    """Payments whose outcome is to be asked for now, the caller's own until `ask_again_at`."""
    return [
        _payment(row) for row in await reader.all(SQL.take_overdue, now=now, ask_again_at=ask_again_at, limit=limit)
    ]


async def list_entries(reader: Reader, *, after: int, limit: int) -> list[LedgerEntry]:
    """The entries that follow the one at a position (0: all), as far as no transaction can still come before them."""
    return [_entry(row) for row in await reader.all(SQL.list_entries, after=after, limit=limit)]


async def list_entries_of_order(reader: Reader, order_id: str, *, after: int, limit: int) -> list[LedgerEntry]:
    """The entries of an order that follow the one at a position (0: all)."""
    return [
        _entry(row) for row in await reader.all(SQL.list_entries_of_order, order_id=order_id, after=after, limit=limit)
    ]


def _payment(row: Row) -> Payment:
    return Payment(
        order_id=str(row["order_id"]),
        amount=None if row["minor_units"] is None else Money(row["currency_code"], row["minor_units"]),
        state=State(row["state"]),
        intent=Intent(row["intent"]) if row["intent"] else None,
        decline_code=row["decline_code"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _entry(row: Row) -> LedgerEntry:
    return LedgerEntry(
        position=row["position"],
        booking_id=str(row["booking_id"]),
        order_id=str(row["order_id"]),
        kind=row["kind"],
        account=LedgerAccount(row["account"]),
        amount=Money(row["currency_code"], row["minor_units"]),
        booked_at=row["booked_at"],
    )
