"""The provider's contract, answered as the charge's test card would have it."""

import asyncio

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.core.clock import Clock
from chassis.rpc.call import Call
from tools.stack.fakes.provider.domain import Card, Charge, ChargeClosed, ChargeNotFound, State, Unavailable, card_of
from tools.stack.fakes.provider.store import ChargeStore
from tradewind.provider.v1 import charge_pb2
from tradewind.provider.v1 import provider_service_pb2 as pb
from tradewind.type.v1.money_pb2 import Money


class ProviderServicer:
    """tradewind.provider.v1.ProviderService. A repeat is known by its reference, and does nothing."""

    def __init__(self, charges: ChargeStore, clock: Clock) -> None:
        self._charges = charges
        self._clock = clock

    async def AuthorizeCharge(self, request: pb.AuthorizeChargeRequest, call: Call) -> pb.AuthorizeChargeResponse:
        """Hold an amount, or decline."""
        charge = self._charges.find(request.reference)
        if charge is None:
            charge = self._new_charge(request)
            self._charges.keep(charge)
        if charge.state is State.VOIDED:
            raise ChargeClosed("the reference was voided")
        await self._may_never_answer(Card.TIMEOUT_AFTER_AUTHORIZE, charge)
        return pb.AuthorizeChargeResponse(charge=_message(charge))

    async def CaptureCharge(self, request: pb.CaptureChargeRequest, call: Call) -> pb.CaptureChargeResponse:
        """Take the held amount."""
        charge = self._known(request.reference)
        if charge.card is Card.ANSWER_TWICE and charge.state is State.REFUNDED:
            return pb.CaptureChargeResponse(charge=_message(charge.as_first_captured()))
        charge = charge.captured()
        self._charges.keep(charge)
        await self._may_never_answer(Card.TIMEOUT_AFTER_CAPTURE, charge)
        return pb.CaptureChargeResponse(charge=_message(charge))

    async def VoidCharge(self, request: pb.VoidChargeRequest, call: Call) -> pb.VoidChargeResponse:
        """Give up the hold, or see to it that there never is one."""
        charge = self._charges.find(request.reference)
        if charge is None:
            charge = Charge(reference=request.reference, state=State.VOIDED, created_at=self._clock.now())
        charge = charge.voided()
        self._charges.keep(charge)
        return pb.VoidChargeResponse(charge=_message(charge))

    async def RefundCharge(self, request: pb.RefundChargeRequest, call: Call) -> pb.RefundChargeResponse:
        """Give the taken amount back."""
        charge = self._known(request.reference).refunded()
        self._charges.keep(charge)
        return pb.RefundChargeResponse(charge=_message(charge))

    async def GetCharge(self, request: pb.GetChargeRequest, call: Call) -> pb.GetChargeResponse:
        """What became of a charge."""
        return pb.GetChargeResponse(charge=_message(self._known(request.reference)))

    def _known(self, reference: str) -> Charge:
        charge = self._charges.find(reference)
        if charge is None:
            raise ChargeNotFound("no charge has this reference")
        return charge

    def _new_charge(self, request: pb.AuthorizeChargeRequest) -> Charge:
        card = card_of(request.payment_token)
        if card is Card.UNAVAILABLE_ONCE and self._charges.strikes_first(card, request.reference):
            raise Unavailable("come back later")
        return Charge(
            reference=request.reference,
            currency_code=request.amount.currency_code,
            minor_units=request.amount.minor_units,
            card=card,
            state=State.DECLINED if card.decline_code else State.AUTHORIZED,
            created_at=self._clock.now(),
        )

    async def _may_never_answer(self, card: Card, charge: Charge) -> None:
        """Silence until the caller has lost patience: the work is done, and the caller does not know."""
        if charge.card is card and self._charges.strikes_first(card, charge.reference):
            await asyncio.Event().wait()


def _message(charge: Charge) -> charge_pb2.Charge:
    create_time = Timestamp()
    create_time.FromDatetime(charge.created_at)
    amount = Money(currency_code=charge.currency_code, minor_units=charge.minor_units) if charge.card else None
    return charge_pb2.Charge(
        reference=charge.reference,
        amount=amount,
        state=_STATES[charge.state],
        decline_code=charge.decline_code,
        create_time=create_time,
        times_charged=charge.times_charged,
    )


_STATES = {
    State.AUTHORIZED: charge_pb2.CHARGE_STATE_AUTHORIZED,
    State.CAPTURED: charge_pb2.CHARGE_STATE_CAPTURED,
    State.VOIDED: charge_pb2.CHARGE_STATE_VOIDED,
    State.REFUNDED: charge_pb2.CHARGE_STATE_REFUNDED,
    State.DECLINED: charge_pb2.CHARGE_STATE_DECLINED,
}
