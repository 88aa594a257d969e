"""Charges, what can become of them, and the test cards that choose what does."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.core import errors


class PaymentTokenUnknown(errors.InvalidArgument):
    """No card is behind this token."""

    reason = "PAYMENT_TOKEN_UNKNOWN"


class ChargeNotFound(errors.NotFound):
    """No charge has this reference."""

    reason = "CHARGE_NOT_FOUND"


class ChargeClosed(errors.FailedPrecondition):
    """The charge can hold or take nothing any more."""

    reason = "CHARGE_CLOSED"


class ChargeCaptured(errors.FailedPrecondition):
    """The amount was taken: it can only be given back."""

    reason = "CHARGE_CAPTURED"


class ChargeNotCaptured(errors.FailedPrecondition):
    """Nothing was taken that could be given back."""

    reason = "CHARGE_NOT_CAPTURED"


class Unavailable(errors.Unavailable):
    """The provider is down, as far as this merchant can tell."""

    reason = "PROVIDER_UNAVAILABLE"


class Card(StrEnum):
    """The test cards, by their tokens."""

    APPROVE = "tok_approve"
    DECLINE = "tok_decline"
    INSUFFICIENT_FUNDS = "tok_insufficient_funds"
    TIMEOUT_AFTER_AUTHORIZE = "tok_timeout_after_authorize"
    TIMEOUT_AFTER_CAPTURE = "tok_timeout_after_capture"
    UNAVAILABLE_ONCE = "tok_unavailable_once"
    ANSWER_TWICE = "tok_answer_twice"

    @property
    def decline_code(self) -> str:
        """Why it is declined; empty when it is not."""
        return _DECLINE_CODES.get(self, "")


_DECLINE_CODES = {Card.DECLINE: "card_declined", Card.INSUFFICIENT_FUNDS: "insufficient_funds"}


def card_of(token: str) -> Card:
    """The card behind a token. Raises PaymentTokenUnknown."""
    try:
        return Card(token)
    except ValueError:
        violation = errors.Violation("payment_token", "is not a test card's token", PaymentTokenUnknown.reason)
        raise PaymentTokenUnknown("no card is behind this token", violations=(violation,)) from None


class State(StrEnum):
    """Where a charge stands."""

    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge. A reference that was voided before it was heard of has neither amount nor card."""

    reference: str
    currency_code: str = ""
    minor_units: int = 0
    card: Card | None = None
    state: State
    created_at: datetime
    times_charged: int = 0

    @property
    def decline_code(self) -> str:
        """Why it was declined; empty when it was not."""
        return self.card.decline_code if self.card else ""

    def captured(self) -> "Charge":
        """The charge with its amount taken; one that was taken already stays as it is. Raises ChargeClosed."""
        if self.state is State.AUTHORIZED:
            return replace(self, state=State.CAPTURED, times_charged=self.times_charged + 1)
        if self.state is State.CAPTURED:
            return self
        raise ChargeClosed("nothing can be taken any more", state=self.state)

    def voided(self) -> "Charge":
        """The charge with its hold given up; one that holds nothing stays as it is. Raises ChargeCaptured."""
        if self.state is State.AUTHORIZED:
            return replace(self, state=State.VOIDED)
        if self.state is State.CAPTURED:
            raise ChargeCaptured("the amount was taken: it can only be given back")
        return self

    def refunded(self) -> "Charge":
        """The charge with its amount given back; one that was given back stays as it is. Raises ChargeNotCaptured."""
        if self.state is State.CAPTURED:
            return replace(self, state=State.REFUNDED, times_charged=self.times_charged - 1)
        if self.state is State.REFUNDED:
            return self
        raise ChargeNotCaptured("nothing was taken", state=self.state)

    def as_first_captured(self) -> "Charge":
        """The charge as it was when its amount was taken: what a provider says that answers from its memory."""
        return replace(self, state=State.CAPTURED, times_charged=1)
