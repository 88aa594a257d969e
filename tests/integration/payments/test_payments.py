"""What orders and staff may rely on when they ask payments for money."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.payments.client import (
    AMOUNT,
    Payments,
    authorization,
    new_id,
    running_payments,
    running_provider,
)
from tradewind.payments.v1 import payment_service_pb2 as pb
from tradewind.payments.v1.payment_events_pb2 import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from tradewind.payments.v1.payment_pb2 import (
    ACCOUNT_PROVIDER_RECEIVABLE,
    ACCOUNT_REFUNDS,
    ACCOUNT_SALES_REVENUE,
    BOOKING_KIND_CAPTURE,
    BOOKING_KIND_REFUND,
    PAYMENT_STATE_AUTHORIZED,
    PAYMENT_STATE_CAPTURED,
    PAYMENT_STATE_DECLINED,
    PAYMENT_STATE_REFUNDED,
    PAYMENT_STATE_VOIDED,
    LedgerEntry,
)
from tradewind.provider.v1.charge_pb2 import (
    CHARGE_STATE_AUTHORIZED,
    CHARGE_STATE_VOIDED,
)
from tradewind.type.v1.money_pb2 import Money


@pytest.fixture
async def payments(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Payments]:
    """The service with empty books, beside a provider that has heard of nothing."""
    async with running_provider(tmp_path), running_payments(new_database("payments"), tmp_path) as payments:
        yield payments


def signed(entries: list[LedgerEntry]) -> list[tuple[int, int, int]]:
    """What entries say about money."""
    return [(entry.kind, entry.account, entry.amount.minor_units) for entry in entries]


async def test_an_authorized_amount_is_held_and_not_booked(payments: Payments) -> None:
    """The payment, the provider and the fact agree; nobody owes anything yet."""
    order_id = new_id()
    payment = await payments.authorize(order_id)
    assert payment == await payments.get(order_id)
    assert (payment.state, payment.amount, payment.decline_code) == (PAYMENT_STATE_AUTHORIZED, AMOUNT, "")
    assert payment.create_time.ToDatetime(UTC) == payments.clock.now()
    assert (await payments.charge(order_id)).state == CHARGE_STATE_AUTHORIZED
    assert await payments.facts(order_id) == [
        PaymentAuthorized(order_id=order_id, aggregate_version=1, amount=AMOUNT, occur_time=payment.update_time)
    ]
    assert await payments.ledger(order_id) == []


async def test_a_captured_amount_is_taken_and_booked(payments: Payments) -> None:
    """The provider owes us what the customer paid for."""
    order_id = new_id()
    await payments.authorize(order_id)
    payment = await payments.capture(order_id)
    assert payment.state == PAYMENT_STATE_CAPTURED
    assert (await payments.charge(order_id)).times_charged == 1
    assert signed(await payments.ledger(order_id)) == [
        (BOOKING_KIND_CAPTURE, ACCOUNT_PROVIDER_RECEIVABLE, 4_950),
        (BOOKING_KIND_CAPTURE, ACCOUNT_SALES_REVENUE, -4_950),
    ]
    assert (await payments.facts(order_id))[1:] == [
        PaymentCaptured(order_id=order_id, aggregate_version=2, amount=AMOUNT, occur_time=payment.update_time)
    ]


async def test_a_refunded_amount_is_given_back_and_booked(payments: Payments) -> None:
    """The provider owes us nothing any more; what was earned and what was given back both stay in the books."""
    order_id = new_id()
    await payments.authorize(order_id)
    await payments.capture(order_id)
    payment = await payments.refund(order_id)
    assert payment.state == PAYMENT_STATE_REFUNDED
    assert (await payments.charge(order_id)).times_charged == 0
    entries = await payments.ledger(order_id)
    assert signed(entries)[2:] == [
        (BOOKING_KIND_REFUND, ACCOUNT_REFUNDS, 4_950),
        (BOOKING_KIND_REFUND, ACCOUNT_PROVIDER_RECEIVABLE, -4_950),
    ]
    assert len({entry.booking_id for entry in entries}) == 2
    assert (await payments.facts(order_id))[2:] == [
        PaymentRefunded(order_id=order_id, aggregate_version=3, amount=AMOUNT, occur_time=payment.update_time)
    ]


async def test_a_voided_hold_is_given_up(payments: Payments) -> None:
    """Nothing is held at the provider, nothing was booked, and the order can have no other payment."""
    order_id = new_id()
    await payments.authorize(order_id)
    payment = await payments.void(order_id)
    assert payment.state == PAYMENT_STATE_VOIDED
    assert (await payments.charge(order_id)).state == CHARGE_STATE_VOIDED
    assert (await payments.facts(order_id))[1:] == [
        PaymentVoided(order_id=order_id, aggregate_version=2, occur_time=payment.update_time)
    ]
    with refused(errors.FailedPrecondition, "PAYMENT_CLOSED"):
        await payments.authorize(order_id)
    with refused(errors.FailedPrecondition, "PAYMENT_CLOSED"):
        await payments.capture(order_id)
    assert await payments.ledger(order_id) == []


@pytest.mark.parametrize(
    ("payment_token", "decline_code"),
    [
        ("tok_decline", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_nobody_has_heard_of", "payment_token_unknown"),
    ],
)
async def test_a_decline_is_an_answer(payments: Payments, payment_token: str, decline_code: str) -> None:
    """It is final: stored, told as a fact, and the same for whoever asks again, be it with another card."""
    order_id = new_id()
    request = authorization(order_id, payment_token=payment_token)
    for attempt in (request, request, authorization(order_id)):
        with refused(errors.FailedPrecondition, "PAYMENT_DECLINED") as refusal:
            await payments.orders.AuthorizePayment(attempt)
        assert refusal.problem
        assert refusal.problem.metadata == {"decline_code": decline_code}
    payment = await payments.get(order_id)
    assert (payment.state, payment.decline_code) == (PAYMENT_STATE_DECLINED, decline_code)
    assert await payments.facts(order_id) == [
        PaymentDeclined(
            order_id=order_id,
            aggregate_version=1,
            amount=AMOUNT,
            decline_code=decline_code,
            occur_time=payment.update_time,
        )
    ]
    with refused(errors.FailedPrecondition, "PAYMENT_CLOSED"):
        await payments.capture(order_id)


@pytest.mark.parametrize("undo", ["void", "refund"])
async def test_a_declined_payment_has_nothing_to_undo(payments: Payments, undo: str) -> None:
    """Whoever undoes need not know that nothing was done."""
    order_id = new_id()
    with refused(errors.FailedPrecondition, "PAYMENT_DECLINED"):
        await payments.authorize(order_id, payment_token="tok_decline")
    assert (await getattr(payments, undo)(order_id)).state == PAYMENT_STATE_DECLINED


@pytest.mark.parametrize("undo", ["void", "refund"])
async def test_an_undo_that_comes_first_closes_the_order(payments: Payments, undo: str) -> None:
    """The authorization that comes too late is refused here, and the provider would refuse it too."""
    order_id = new_id()
    payment = await getattr(payments, undo)(order_id)
    assert (payment.state, payment.HasField("amount")) == (PAYMENT_STATE_VOIDED, False)
    assert (await payments.charge(order_id)).state == CHARGE_STATE_VOIDED
    with refused(errors.FailedPrecondition, "PAYMENT_CLOSED"):
        await payments.authorize(order_id)
    assert [type(fact) for fact in await payments.facts(order_id)] == [PaymentVoided]


async def test_a_hold_the_provider_has_given_up_closes_the_payment(payments: Payments) -> None:
    """Whoever comes to take the money is refused, and what that has brought to light is kept and told."""
    order_id = new_id()
    await payments.authorize(order_id)
    await payments.release_hold(order_id)
    with refused(errors.FailedPrecondition, "PAYMENT_CLOSED"):
        await payments.capture(order_id)
    assert (await payments.get(order_id)).state == PAYMENT_STATE_VOIDED
    assert [type(fact) for fact in await payments.facts(order_id)] == [PaymentAuthorized, PaymentVoided]


async def test_a_refund_of_what_was_never_taken_is_a_void(payments: Payments) -> None:
    """Whoever undoes a capture need not know whether it happened."""
    order_id = new_id()
    await payments.authorize(order_id)
    assert (await payments.refund(order_id)).state == PAYMENT_STATE_VOIDED
    assert await payments.ledger(order_id) == []


async def test_what_was_taken_cannot_be_voided(payments: Payments) -> None:
    """It can only be given back; until then it stays taken."""
    order_id = new_id()
    await payments.authorize(order_id)
    await payments.capture(order_id)
    with refused(errors.FailedPrecondition, "PAYMENT_CAPTURED"):
        await payments.void(order_id)
    assert (await payments.get(order_id)).state == PAYMENT_STATE_CAPTURED


async def test_an_order_without_a_payment_is_not_found(payments: Payments) -> None:
    """There is nothing to take and nothing to show."""
    with refused(errors.NotFound, "PAYMENT_NOT_FOUND"):
        await payments.capture(new_id())
    with refused(errors.NotFound, "PAYMENT_NOT_FOUND"):
        await payments.get(new_id())


async def test_an_order_has_one_amount(payments: Payments) -> None:
    """The same order with another amount is refused, and the first hold stays."""
    order_id = new_id()
    await payments.authorize(order_id)
    with refused(errors.FailedPrecondition, "PAYMENT_MISMATCH"):
        await payments.orders.AuthorizePayment(
            authorization(order_id, amount=Money(currency_code="GBP", minor_units=4_951))
        )
    assert (await payments.get(order_id)).amount == AMOUNT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", "1"),
        ("order_id", "order 66"),
        ("amount", Money(currency_code="GBP", minor_units=0)),
        ("amount", Money(currency_code="GBP", minor_units=-1)),
        ("amount", Money(currency_code="GBP", minor_units=10**13 + 1)),
        ("amount", Money(currency_code="gbp", minor_units=1)),
        ("amount", None),
        ("payment_token", "4111111111111111"),
        ("payment_token", ""),
    ],
)
async def test_a_wrong_field_is_named(payments: Payments, field: str, value: Any) -> None:
    """Nothing is asked of the provider, and the answer does not repeat a card number."""
    order_id = new_id()
    with refused(errors.InvalidArgument, "REQUEST_INVALID") as refusal:
        await payments.orders.AuthorizePayment(authorization(**{"order_id": order_id, field: value}))
    assert isinstance(refusal.problem, errors.InvalidArgument)
    assert {violation.field.split(".")[0] for violation in refusal.problem.violations} == {field}
    assert "4111" not in f"{refusal.problem} {refusal.problem.violations}"
    with refused(errors.NotFound, "PAYMENT_NOT_FOUND"):
        await payments.get(order_id)


async def test_a_repeated_request_gets_its_first_answer(payments: Payments) -> None:
    """A repeat of the capture is answered as before, even after the amount was given back; nothing is taken again."""
    order_id = new_id()
    await payments.authorize(order_id)
    request = pb.CapturePaymentRequest(request_id=new_id(), order_id=order_id)
    first = await payments.orders.CapturePayment(request)
    await payments.refund(order_id)
    assert await payments.orders.CapturePayment(request) == first
    assert (await payments.get(order_id)).state == PAYMENT_STATE_REFUNDED
    assert (await payments.charge(order_id)).times_charged == 0


async def test_a_reused_request_id_is_refused_before_the_provider_is_asked(payments: Payments) -> None:
    """The id of one order's authorization holds nothing for another order."""
    request = authorization(new_id())
    await payments.orders.AuthorizePayment(request)
    other_id = new_id()
    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await payments.orders.AuthorizePayment(authorization(other_id, request_id=request.request_id))
    with refused(errors.NotFound, "CHARGE_NOT_FOUND"):
        await payments.charge(other_id)
    with refused(errors.NotFound, "PAYMENT_NOT_FOUND"):
        await payments.get(other_id)


async def test_many_at_once_take_the_amount_once(payments: Payments) -> None:
    """Ten repeats of one request and ten new ones, of each kind: one hold, one capture, one booking."""
    order_id = new_id()
    holding = authorization(order_id)
    held = await asyncio.gather(
        *(payments.orders.AuthorizePayment(holding) for _ in range(10)),
        *(payments.authorize(order_id) for _ in range(10)),
    )
    assert held[:10] == [held[0]] * 10
    taking = pb.CapturePaymentRequest(request_id=new_id(), order_id=order_id)
    await asyncio.gather(
        *(payments.orders.CapturePayment(taking) for _ in range(10)), *(payments.capture(order_id) for _ in range(10))
    )
    assert [type(fact) for fact in await payments.facts(order_id)] == [PaymentAuthorized, PaymentCaptured]
    assert (await payments.charge(order_id)).times_charged == 1
    assert len(await payments.ledger(order_id)) == 2


async def test_no_payment_token_is_stored(payments: Payments) -> None:
    """Not with the payment, not with the answer, not with the fact."""
    await payments.authorize(new_id(), payment_token="tok_approve")
    async with payments.service.database.read() as reader:
        tables = await reader.all("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in tables:
            rows = await reader.all(f"SELECT * FROM {table['tablename']}")  # noqa: S608
            assert "tok_" not in str(rows)
