"""The simulated provider keeps its word: each test card's misfortune, and nothing twice."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.integration.payments.client import AMOUNT, new_id, running_provider
from tradewind.provider.v1 import provider_service_pb2 as pb
from tradewind.provider.v1.charge_pb2 import (
    CHARGE_STATE_AUTHORIZED,
    CHARGE_STATE_CAPTURED,
    CHARGE_STATE_DECLINED,
    CHARGE_STATE_REFUNDED,
    CHARGE_STATE_VOIDED,
    Charge,
)
from tradewind.provider.v1.provider_service_pb2_grpc import ProviderServiceStub


@dataclass
class Provider:
    """The provider as a merchant reaches it, with as much patience as a test has."""

    stub: ProviderServiceStub

    async def authorize(self, reference: str, payment_token: str = "tok_approve", seconds: float = 1) -> Charge:
        """Hold the amount."""
        request = pb.AuthorizeChargeRequest(
            request_id=new_id(), reference=reference, amount=AMOUNT, payment_token=payment_token
        )
        return (await self.stub.AuthorizeCharge(request, timeout=seconds)).charge

    async def capture(self, reference: str, seconds: float = 1) -> Charge:
        """Take the amount."""
        request = pb.CaptureChargeRequest(request_id=new_id(), reference=reference)
        return (await self.stub.CaptureCharge(request, timeout=seconds)).charge

    async def void(self, reference: str) -> Charge:
        """Give up the hold."""
        return (await self.stub.VoidCharge(pb.VoidChargeRequest(request_id=new_id(), reference=reference))).charge

    async def refund(self, reference: str) -> Charge:
        """Give the amount back."""
        return (await self.stub.RefundCharge(pb.RefundChargeRequest(request_id=new_id(), reference=reference))).charge

    async def find(self, reference: str) -> Charge:
        """What became of the charge."""
        return (await self.stub.GetCharge(pb.GetChargeRequest(reference=reference))).charge


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    """The provider, which has heard of nothing."""
    async with running_provider(tmp_path) as it:
        yield Provider(ProviderServiceStub(it.channel(peer="payments")))


async def test_a_charge_goes_from_held_to_taken_to_given_back(provider: Provider) -> None:
    """And every repeat finds it where it is."""
    reference = new_id()
    charge = await provider.authorize(reference)
    assert (charge.state, charge.amount, charge.times_charged) == (CHARGE_STATE_AUTHORIZED, AMOUNT, 0)
    assert await provider.authorize(reference) == charge
    for _ in range(2):
        charge = await provider.capture(reference)
        assert (charge.state, charge.times_charged) == (CHARGE_STATE_CAPTURED, 1)
    for _ in range(2):
        charge = await provider.refund(reference)
        assert (charge.state, charge.times_charged) == (CHARGE_STATE_REFUNDED, 0)
    assert await provider.find(reference) == charge
    with refused(errors.FailedPrecondition, "CHARGE_CLOSED"):
        await provider.capture(reference)


async def test_a_voided_reference_holds_nothing(provider: Provider) -> None:
    """Whether the provider had heard of it before or not."""
    known, unknown = new_id(), new_id()
    await provider.authorize(known)
    for reference in (known, unknown):
        assert (await provider.void(reference)).state == CHARGE_STATE_VOIDED
        with refused(errors.FailedPrecondition, "CHARGE_CLOSED"):
            await provider.authorize(reference)
        with refused(errors.FailedPrecondition, "CHARGE_CLOSED"):
            await provider.capture(reference)
        with refused(errors.FailedPrecondition, "CHARGE_NOT_CAPTURED"):
            await provider.refund(reference)


async def test_what_was_taken_cannot_be_voided(provider: Provider) -> None:
    """It can only be given back."""
    reference = new_id()
    await provider.authorize(reference)
    await provider.capture(reference)
    with refused(errors.FailedPrecondition, "CHARGE_CAPTURED"):
        await provider.void(reference)


async def test_an_unheard_of_charge_is_not_found(provider: Provider) -> None:
    """There is nothing to take, to give back or to show."""
    for ask in (provider.capture, provider.refund, provider.find):
        with refused(errors.NotFound, "CHARGE_NOT_FOUND"):
            await ask(new_id())


@pytest.mark.parametrize(
    ("payment_token", "decline_code"),
    [("tok_decline", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")],
)
async def test_a_decline_is_a_charge(provider: Provider, payment_token: str, decline_code: str) -> None:
    """It is remembered, and says why."""
    reference = new_id()
    charge = await provider.authorize(reference, payment_token)
    assert (charge.state, charge.decline_code) == (CHARGE_STATE_DECLINED, decline_code)
    assert await provider.authorize(reference) == charge


async def test_an_unknown_payment_token_is_refused(provider: Provider) -> None:
    """And no charge comes of it."""
    reference = new_id()
    with refused(errors.InvalidArgument, "PAYMENT_TOKEN_UNKNOWN"):
        await provider.authorize(reference, "tok_of_nobody")
    with refused(errors.NotFound, "CHARGE_NOT_FOUND"):
        await provider.find(reference)


async def test_silence_after_the_work_happens_once(provider: Provider) -> None:
    """The work was done when the caller lost patience; the repeat is answered."""
    held, taken = new_id(), new_id()
    with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
        await provider.authorize(held, "tok_timeout_after_authorize", seconds=0.2)
    assert (await provider.find(held)).state == CHARGE_STATE_AUTHORIZED
    assert (await provider.authorize(held)).state == CHARGE_STATE_AUTHORIZED
    await provider.authorize(taken, "tok_timeout_after_capture")
    with pytest.raises(grpc.aio.AioRpcError, match="DEADLINE_EXCEEDED"):
        await provider.capture(taken, seconds=0.2)
    assert (await provider.capture(taken)).times_charged == 1


async def test_unavailability_comes_before_the_work(provider: Provider) -> None:
    """Nothing was done; the repeat is answered."""
    reference = new_id()
    with refused(errors.Unavailable, "PROVIDER_UNAVAILABLE"):
        await provider.authorize(reference, "tok_unavailable_once")
    with refused(errors.NotFound, "CHARGE_NOT_FOUND"):
        await provider.find(reference)
    assert (await provider.authorize(reference, "tok_unavailable_once")).state == CHARGE_STATE_AUTHORIZED


async def test_a_second_answer_tells_of_the_past(provider: Provider) -> None:
    """The repeat of a capture is answered like the first, even after the amount was given back; nothing is taken."""
    reference = new_id()
    await provider.authorize(reference, "tok_answer_twice")
    first = await provider.capture(reference)
    await provider.refund(reference)
    assert await provider.capture(reference) == first
    charge = await provider.find(reference)
    assert (charge.state, charge.times_charged) == (CHARGE_STATE_REFUNDED, 0)
