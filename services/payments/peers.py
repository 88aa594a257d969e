"""The payment provider, as payments sees it: whatever is asked of it ends in a charge, or in an unknown outcome."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from chassis.core import errors, ids
from services.payments.domain import Charge, ChargeLost, Intent, Money, ProviderOutcomeUnknown, State
from tradewind.provider.v1 import charge_pb2
from tradewind.provider.v1 import provider_service_pb2 as pb
from tradewind.provider.v1.provider_service_pb2_grpc import ProviderServiceStub
from tradewind.type.v1.money_pb2 import Money as MoneyMessage

REPEATS = 2
"""How often the provider is asked again within one call when it does not answer."""


class Provider:
    """The provider's charge for an order has the order's id as its reference, and so is found without the card.

    Everything here may be repeated: the provider knows a charge by its reference. Raises ProviderOutcomeUnknown when no
    answer comes, ChargeLost when the provider has forgotten what it must know.
    """

    def __init__(self, stub: ProviderServiceStub) -> None:
        self._stub = stub

    async def authorize(self, order_id: str, amount: Money, payment_token: str) -> Charge:
        """Hold the amount. The card token goes no further than this."""
        request = pb.AuthorizeChargeRequest(
            request_id=_request_id(Intent.AUTHORIZE, order_id),
            reference=order_id,
            amount=MoneyMessage(currency_code=amount.currency_code, minor_units=amount.minor_units),
            payment_token=payment_token,
        )
        try:
            return await _charge(self._stub.AuthorizeCharge, request)
        except errors.InvalidArgument as problem:
            if problem.reason != "PAYMENT_TOKEN_UNKNOWN":
                raise
            return Charge(State.DECLINED, decline_code="payment_token_unknown")
        except errors.FailedPrecondition:
            return await self._known(order_id)

    async def capture(self, order_id: str) -> Charge:
        """Take the held amount. A charge that cannot be taken is returned as it stands."""
        request = pb.CaptureChargeRequest(request_id=_request_id(Intent.CAPTURE, order_id), reference=order_id)
        try:
            return await _charge(self._stub.CaptureCharge, request)
        except errors.FailedPrecondition:
            return await self._known(order_id)
        except errors.NotFound as problem:
            raise _lost(order_id) from problem

    async def void(self, order_id: str) -> Charge:
        """Give up the hold, even one that is yet to come. A charge that was taken is returned as it stands."""
        request = pb.VoidChargeRequest(request_id=_request_id(Intent.VOID, order_id), reference=order_id)
        try:
            return await _charge(self._stub.VoidCharge, request)
        except errors.FailedPrecondition:
            return await self._known(order_id)

    async def refund(self, order_id: str) -> Charge:
        """Give the amount back if it was taken, give up the hold if it was not."""
        request = pb.RefundChargeRequest(request_id=_request_id(Intent.REFUND, order_id), reference=order_id)
        try:
            return await _charge(self._stub.RefundCharge, request)
        except (errors.FailedPrecondition, errors.NotFound):
            return await self.void(order_id)

    async def find(self, order_id: str) -> Charge | None:
        """The charge as it stands; None when the provider never heard of it."""
        try:
            return await _charge(self._stub.GetCharge, pb.GetChargeRequest(reference=order_id))
        except errors.NotFound:
            return None

    async def _known(self, order_id: str) -> Charge:
        """Where a charge stands that refused to move."""
        charge = await self.find(order_id)
        if charge is None:
            raise _lost(order_id)
        return charge


class _Answer(Protocol):
    """Every answer of the provider holds the charge as it stands."""

    @property
    def charge(self) -> charge_pb2.Charge: ...


RequestT = TypeVar("RequestT")


async def _charge(ask: Callable[[RequestT], Awaitable[_Answer]], request: RequestT) -> Charge:
    try:
        for _ in range(REPEATS):
            with suppress(errors.DeadlineExceeded):
                return _domain_charge((await ask(request)).charge)
        return _domain_charge((await ask(request)).charge)
    except errors.TransientProblem as problem:
        raise ProviderOutcomeUnknown from problem


def _domain_charge(charge: charge_pb2.Charge) -> Charge:
    return Charge(_STATES[charge.state], decline_code=charge.decline_code)


def _request_id(intent: Intent, order_id: str) -> str:
    return ids.derived("payments", intent, order_id)


def _lost(order_id: str) -> ChargeLost:
    return ChargeLost("the payment provider does not know the charge", order_id=order_id)


_STATES = {
    charge_pb2.CHARGE_STATE_AUTHORIZED: State.AUTHORIZED,
    charge_pb2.CHARGE_STATE_CAPTURED: State.CAPTURED,
    charge_pb2.CHARGE_STATE_VOIDED: State.VOIDED,
    charge_pb2.CHARGE_STATE_REFUNDED: State.REFUNDED,
    charge_pb2.CHARGE_STATE_DECLINED: State.DECLINED,
}
