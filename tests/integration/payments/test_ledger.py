"""The books balance, whoever writes to them and whatever races."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import LiteralString

import pytest

from chassis.core import errors
from chassis.database import ConstraintViolation, Transaction
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.payments.client import (
    Payments,
    new_id,
    running_payments,
    running_provider,
)
from tradewind.payments.v1 import payment_service_pb2 as pb
from tradewind.payments.v1.payment_pb2 import (
    BOOKING_KIND_CAPTURE,
    PAYMENT_STATE_REFUNDED,
    PAYMENT_STATE_VOIDED,
)
from tradewind.provider.v1.charge_pb2 import (
    CHARGE_STATE_REFUNDED,
    CHARGE_STATE_VOIDED,
)


@pytest.fixture
async def payments(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Payments]:
    """The service with empty books, beside a provider that has heard of nothing."""
    async with running_provider(tmp_path), running_payments(new_database("payments"), tmp_path) as payments:
        yield payments


async def authorized(payments: Payments) -> str:
    """An order whose amount is held."""
    order_id = new_id()
    await payments.authorize(order_id)
    return order_id


async def book(tx: Transaction, order_id: str) -> None:
    """Book a capture as another process does that has not committed yet."""
    await tx.execute(
        """WITH booked AS (
            INSERT INTO booking VALUES (gen_random_uuid(), %(order_id)s, 'capture', now()) RETURNING booking_id
        )
        INSERT INTO ledger_entry (booking_id, account, currency_code, minor_units)
        SELECT booking_id, unnest(ARRAY['provider_receivable', 'sales_revenue']), 'GBP', unnest(ARRAY[1, -1])
        FROM booked""",
        order_id=order_id,
    )


async def test_captures_and_refunds_that_race_leave_us_and_the_provider_agreed(payments: Payments) -> None:
    """However the races of twenty orders end: nothing stays taken, and the books are square."""
    order_ids = [new_id() for _ in range(20)]
    await asyncio.gather(*(payments.authorize(order_id) for order_id in order_ids))
    captures = [payments.capture(order_id) for order_id in order_ids]
    refunds = [payments.refund(order_id) for order_id in order_ids]
    await asyncio.gather(*captures, *refunds, return_exceptions=True)
    booked = 0
    for order_id in order_ids:
        payment, charge = await payments.refund(order_id), await payments.charge(order_id)
        assert (payment.state, charge.state) in (
            (PAYMENT_STATE_VOIDED, CHARGE_STATE_VOIDED),
            (PAYMENT_STATE_REFUNDED, CHARGE_STATE_REFUNDED),
        )
        assert charge.times_charged == 0
        entries = await payments.ledger(order_id)
        assert len(entries) == (4 if payment.state == PAYMENT_STATE_REFUNDED else 0)
        booked += len(entries)
    assert sum(entry.amount.minor_units for entry in await payments.whole_ledger(booked)) == 0


async def test_the_ledger_is_read_page_by_page(payments: Payments) -> None:
    """Every entry once, in the order of booking; a token serves only the query it was made for."""
    order_ids = [new_id() for _ in range(3)]
    for order_id in order_ids:
        await payments.authorize(order_id)
        await payments.capture(order_id)
    entries = await payments.whole_ledger(6, page_size=4)
    assert [entry.order_id for entry in entries] == [order_id for order_id in order_ids for _ in range(2)]
    assert entries == sorted(entries, key=lambda entry: entry.position)
    page = await payments.staff.ListLedgerEntries(pb.ListLedgerEntriesRequest(page_size=4))
    with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
        await payments.staff.ListLedgerEntries(
            pb.ListLedgerEntriesRequest(order_id=order_ids[0], page_token=page.next_page_token)
        )


async def test_a_booking_that_commits_late_is_passed_over_by_nobody(payments: Payments) -> None:
    """Whoever pages on from what could be seen meanwhile finds it all the same."""
    late, *prompt = [await authorized(payments) for _ in range(3)]
    async with payments.service.database.transaction() as tx:
        await book(tx, late)
        for order_id in prompt:
            await payments.capture(order_id)
        page = await payments.staff.ListLedgerEntries(pb.ListLedgerEntriesRequest(page_size=2))
    rest = await payments.whole_ledger(6 - len(page.entries), page_size=2, page_token=page.next_page_token)
    assert sorted(entry.order_id for entry in (*page.entries, *rest)) == sorted(2 * [late, *prompt])


async def test_a_booking_is_passed_over_by_nobody_whatever_was_begun_first(payments: Payments) -> None:
    """Neither when it has the lower positions, and the one that is seen before it the older transaction."""
    late, prompt = [await authorized(payments) for _ in range(2)]
    has_begun, is_booked, is_seen = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def book_late() -> None:
        await has_begun.wait()
        async with payments.service.database.transaction() as tx:
            await book(tx, late)
            is_booked.set()
            await is_seen.wait()

    async with asyncio.timeout(20), asyncio.TaskGroup() as others:
        others.create_task(book_late())
        async with payments.service.database.transaction() as tx:
            await tx.execute("SELECT pg_current_xact_id()")
            has_begun.set()
            await is_booked.wait()
            await book(tx, prompt)
        await payments.whole_ledger(2)
        page = await payments.staff.ListLedgerEntries(pb.ListLedgerEntriesRequest(page_size=1))
        is_seen.set()
    rest = await payments.whole_ledger(3, page_size=1, page_token=page.next_page_token)
    assert [entry.order_id for entry in (*page.entries, *rest)] == [prompt, prompt, late, late]


async def test_the_entries_of_an_order_are_there_with_the_answer(payments: Payments) -> None:
    """Whoever else is still booking: nothing comes before them any more."""
    late, prompt = [await authorized(payments) for _ in range(2)]
    async with payments.service.database.transaction() as tx:
        await book(tx, late)
        await payments.capture(prompt)
        assert [entry.kind for entry in await payments.ledger(prompt)] == [BOOKING_KIND_CAPTURE] * 2


@pytest.mark.parametrize(
    "statement",
    [
        """INSERT INTO ledger_entry (booking_id, account, currency_code, minor_units)
        SELECT booking_id, 'refunds', 'GBP', 1 FROM booking""",
        """INSERT INTO ledger_entry (booking_id, account, currency_code, minor_units)
        SELECT booking_id, unnest(ARRAY['refunds', 'refunds']), 'GBP', unnest(ARRAY[1, -1]) FROM booking""",
        """INSERT INTO booking (booking_id, order_id, kind, booked_at)
        SELECT gen_random_uuid(), order_id, 'refund', now() FROM booking""",
        """INSERT INTO booking (booking_id, order_id, kind, booked_at)
        SELECT gen_random_uuid(), order_id, 'capture', now() FROM booking""",
        """WITH balanced_by_mixing AS (
            INSERT INTO booking SELECT gen_random_uuid(), order_id, 'refund', now() FROM booking RETURNING booking_id
        )
        INSERT INTO ledger_entry (booking_id, account, currency_code, minor_units)
        SELECT booking_id, unnest(ARRAY['refunds', 'sales_revenue']), unnest(ARRAY['GBP', 'EUR']), unnest(ARRAY[1, -1])
        FROM balanced_by_mixing""",
        "UPDATE ledger_entry SET minor_units = 2 * minor_units",
        "UPDATE booking SET booked_at = now()",
        "DELETE FROM ledger_entry",
        "DELETE FROM booking",
        "TRUNCATE ledger_entry",
        "UPDATE payment SET state = 'pending'",
        "UPDATE payment SET intent = 'capture'",
        "UPDATE payment SET minor_units = -1",
    ],
)
async def test_the_schema_keeps_the_books(payments: Payments, statement: LiteralString) -> None:
    """Whoever writes past the service can neither unbalance a booking, nor change one, nor book a thing twice."""
    order_id = new_id()
    await payments.authorize(order_id)
    await payments.capture(order_id)
    before = await payments.ledger(order_id)
    with pytest.raises(ConstraintViolation):
        async with payments.service.database.transaction() as tx:
            await tx.execute(statement)
    assert await payments.ledger(order_id) == before
