"""A provider that does not answer, a call that is lost: what it did is found out, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from chassis.core import errors
from chassis.testing.refusals import refused
from services.payments.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.payments.client import (
    Payments,
    authorization,
    losing,
    new_id,
    running_payments,
    running_provider,
)
from tradewind.payments.v1.payment_events_pb2 import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentRefunded,
    PaymentVoided,
)
from tradewind.payments.v1.payment_pb2 import (
    BOOKING_KIND_CAPTURE,
    BOOKING_KIND_REFUND,
    PAYMENT_STATE_AUTHORIZED,
    PAYMENT_STATE_CAPTURED,
    PAYMENT_STATE_PENDING,
    PAYMENT_STATE_REFUNDED,
    PAYMENT_STATE_VOIDED,
)


@pytest.fixture
async def payments(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Payments]:
    """The service with empty books, beside a provider that has heard of nothing."""
    async with running_provider(tmp_path), running_payments(new_database("payments"), tmp_path) as payments:
        yield payments


@pytest.fixture
async def payments_alone(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Payments]:
    """The service with empty books, whose provider is away."""
    async with running_payments(new_database("payments"), tmp_path) as payments:
        yield payments


async def test_a_provider_that_never_answers_a_hold_is_asked_again(payments: Payments) -> None:
    """It did the work, and the repeat tells so."""
    payment = await payments.authorize(new_id(), payment_token="tok_timeout_after_authorize")
    assert payment.state == PAYMENT_STATE_AUTHORIZED


async def test_a_provider_that_never_answers_a_capture_charges_once(payments: Payments) -> None:
    """It took the amount and kept silent: asked again, it does not take it again."""
    order_id = new_id()
    await payments.authorize(order_id, payment_token="tok_timeout_after_capture")
    assert (await payments.capture(order_id)).state == PAYMENT_STATE_CAPTURED
    assert (await payments.charge(order_id)).times_charged == 1
    assert len(await payments.ledger(order_id)) == 2


async def test_a_provider_that_was_away_for_a_moment_is_asked_again(payments: Payments) -> None:
    """The customer does not notice."""
    payment = await payments.authorize(new_id(), payment_token="tok_unavailable_once")
    assert payment.state == PAYMENT_STATE_AUTHORIZED


async def test_a_provider_that_answers_twice_is_booked_once(payments: Payments) -> None:
    """It answers the repeat of a lost capture as if it were new; here it is the same capture."""
    order_id = new_id()
    await payments.authorize(order_id, payment_token="tok_answer_twice")
    with losing("capture"):
        await payments.capture(order_id)
    await payments.capture(order_id)
    await payments.refund(order_id)
    assert (await payments.charge(order_id)).times_charged == 0
    assert len(await payments.ledger(order_id)) == 4


async def test_an_unknown_outcome_is_no_answer(payments_alone: Payments, tmp_path: Path) -> None:
    """While the provider is away the caller is told to ask again; the same request is answered once it is back."""
    order_id = new_id()
    request = authorization(order_id)
    with refused(errors.Unavailable, "PROVIDER_OUTCOME_UNKNOWN") as refusal:
        await payments_alone.orders.AuthorizePayment(request)
    assert refusal.problem
    assert refusal.problem.retry_after == timedelta(seconds=1)
    assert (await payments_alone.get(order_id)).state == PAYMENT_STATE_PENDING
    with refused(errors.Unavailable, "PROVIDER_OUTCOME_UNKNOWN"):
        await payments_alone.capture(order_id)
    async with running_provider(tmp_path):
        assert (
            await until_known(payments_alone.orders.AuthorizePayment, request)
        ).payment.state == PAYMENT_STATE_AUTHORIZED


async def test_a_payment_the_provider_never_heard_of_is_closed(payments_alone: Payments, tmp_path: Path) -> None:
    """Nobody kept the card token, and nobody has asked again: after a quarter of an hour nothing can be held any more."""
    order_id = new_id()
    with refused(errors.Unavailable, "PROVIDER_OUTCOME_UNKNOWN"):
        await payments_alone.authorize(order_id)
    async with running_provider(tmp_path):
        await payments_alone.clock.advance(Settings().abandon_seconds)
        await payments_alone.until(order_id, PAYMENT_STATE_VOIDED)
    with refused(errors.FailedPrecondition, "PAYMENT_CLOSED"):
        await payments_alone.authorize(order_id)


LOST_CALLS = [
    ([], "authorize", PAYMENT_STATE_AUTHORIZED, [PaymentAuthorized]),
    (["authorize"], "capture", PAYMENT_STATE_CAPTURED, [PaymentAuthorized, PaymentCaptured]),
    (["authorize"], "void", PAYMENT_STATE_VOIDED, [PaymentAuthorized, PaymentVoided]),
    (["authorize"], "refund", PAYMENT_STATE_VOIDED, [PaymentAuthorized, PaymentVoided]),
    (
        ["authorize", "capture"],
        "refund",
        PAYMENT_STATE_REFUNDED,
        [PaymentAuthorized, PaymentCaptured, PaymentRefunded],
    ),
]
"""What was done before, what was lost, and how the payment and its facts must come out."""


@pytest.mark.parametrize(("before", "lost", "state", "facts"), LOST_CALLS)
async def test_a_lost_call_is_made_good_by_its_repeat(
    payments: Payments, before: list[str], lost: str, state: int, facts: list[type]
) -> None:
    """Lost between the provider's answer and our commit: the repeat does nothing twice."""
    order_id = new_id()
    for step in before:
        await getattr(payments, step)(order_id)
    with losing(lost):
        await getattr(payments, lost)(order_id)
    assert (await payments.get(order_id)).state != state
    assert (await getattr(payments, lost)(order_id)).state == state
    assert [type(fact) for fact in await payments.facts(order_id)] == facts


@pytest.mark.parametrize(("before", "lost", "state", "facts"), LOST_CALLS)
async def test_a_lost_call_that_nobody_repeats_is_made_good(
    payments: Payments, before: list[str], lost: str, state: int, facts: list[type]
) -> None:
    """Its caller died too: the background finds out."""
    order_id = new_id()
    for step in before:
        await getattr(payments, step)(order_id)
    with losing(lost):
        await getattr(payments, lost)(order_id)
    await payments.until(order_id, state)
    assert [type(fact) for fact in await payments.facts(order_id)] == facts
    assert sum(entry.amount.minor_units for entry in await payments.ledger(order_id)) == 0


async def test_a_refund_makes_good_a_capture_that_was_lost(payments: Payments) -> None:
    """We believe it held, the provider has taken it: both bookings are made, and nothing stays taken."""
    order_id = new_id()
    await payments.authorize(order_id)
    with losing("capture"):
        await payments.capture(order_id)
    assert (await payments.get(order_id)).state == PAYMENT_STATE_AUTHORIZED
    assert (await payments.refund(order_id)).state == PAYMENT_STATE_REFUNDED
    assert [fact.aggregate_version for fact in await payments.facts(order_id)] == [1, 2, 3]  # type: ignore[attr-defined]
    assert [entry.kind for entry in await payments.ledger(order_id)] == [
        BOOKING_KIND_CAPTURE,
        BOOKING_KIND_CAPTURE,
        BOOKING_KIND_REFUND,
        BOOKING_KIND_REFUND,
    ]


async def test_a_void_finds_out_that_a_lost_capture_took_the_amount(payments: Payments) -> None:
    """It is refused, and what it found out is kept."""
    order_id = new_id()
    await payments.authorize(order_id)
    with losing("capture"):
        await payments.capture(order_id)
    with refused(errors.FailedPrecondition, "PAYMENT_CAPTURED"):
        await payments.void(order_id)
    assert (await payments.get(order_id)).state == PAYMENT_STATE_CAPTURED
    assert len(await payments.ledger(order_id)) == 2


async def test_an_undo_outlives_the_late_answer_to_what_it_undoes(payments: Payments) -> None:
    """A refund died before it could ask, while a capture waited for its answer: the amount is given back all the same."""
    order_id = new_id()
    await payments.authorize(order_id, payment_token="tok_timeout_after_capture")
    capture = asyncio.ensure_future(payments.capture(order_id))
    while (await payments.charge(order_id)).times_charged == 0:
        assert not capture.done()
    async with payments.service.database.read() as database:
        await database.execute("UPDATE payment SET intent = 'refund'")
    assert (await capture).state == PAYMENT_STATE_CAPTURED
    await payments.until(order_id, PAYMENT_STATE_REFUNDED)
    assert (await payments.charge(order_id)).times_charged == 0


async def until_known(ask: Callable[[Any], Awaitable[Any]], request: Any) -> Any:
    """The answer to a request that is sent again for as long as its outcome is unknown."""
    async with asyncio.timeout(10):
        while True:
            with suppress(grpc.aio.AioRpcError):
                return await ask(request)
