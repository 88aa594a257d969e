"""A payment's life, what each stage of it means for the books, and why something is refused."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chassis.core import errors


class PaymentNotFound(errors.NotFound):
    """Nothing was ever asked for this order."""

    reason = "PAYMENT_NOT_FOUND"


class PaymentDeclined(errors.FailedPrecondition):
    """The provider refused."""

    reason = "PAYMENT_DECLINED"
    keeps_effect = True


class PaymentClosed(errors.FailedPrecondition):
    """Money can no longer be taken for this order."""

    reason = "PAYMENT_CLOSED"
    keeps_effect = True


class PaymentMismatch(errors.FailedPrecondition):
    """The order has a payment of another amount."""

    reason = "PAYMENT_MISMATCH"


class PaymentTaken(errors.FailedPrecondition):
    """The money was taken: it can only be given back."""

    reason = "PAYMENT_CAPTURED"
    keeps_effect = True


class ProviderOutcomeUnknown(errors.Unavailable):
    """The provider did not tell what became of it."""

    reason = "PROVIDER_OUTCOME_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("the payment provider has not told the outcome yet", retry_after=timedelta(seconds=1))


class ChargeLost(errors.Internal):
    """The provider knows nothing of a charge it has held or taken before."""

    reason = "CHARGE_LOST"


class State(StrEnum):
    """Where a payment, or the provider's charge for it, stands."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Intent(StrEnum):
    """What the provider can be asked for."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"

    @property
    def open_in(self) -> frozenset[State]:
        """The states in which its outcome is not known."""
        return _OPEN_IN[self]

    @property
    def achieved_in(self) -> frozenset[State]:
        """The states that are what was wanted. In all others it was refused, or is open."""
        return _ACHIEVED_IN[self]

    @property
    def supersedes(self) -> frozenset["Intent"]:
        """The open intents it takes the place of: giving up goes before going on."""
        return _SUPERSEDES[self]


_OPEN_IN = {
    Intent.AUTHORIZE: frozenset({State.PENDING}),
    Intent.CAPTURE: frozenset({State.AUTHORIZED}),
    Intent.VOID: frozenset({State.PENDING, State.AUTHORIZED}),
    Intent.REFUND: frozenset({State.PENDING, State.AUTHORIZED, State.CAPTURED}),
}

_ACHIEVED_IN = {
    Intent.AUTHORIZE: frozenset({State.AUTHORIZED, State.CAPTURED}),
    Intent.CAPTURE: frozenset({State.CAPTURED}),
    Intent.VOID: frozenset({State.VOIDED, State.DECLINED, State.REFUNDED}),
    Intent.REFUND: frozenset({State.VOIDED, State.DECLINED, State.REFUNDED}),
}

_SUPERSEDES: dict[Intent, frozenset[Intent]] = {
    Intent.AUTHORIZE: frozenset(),
    Intent.CAPTURE: frozenset(),
    Intent.VOID: frozenset({Intent.AUTHORIZE, Intent.CAPTURE}),
    Intent.REFUND: frozenset({Intent.AUTHORIZE, Intent.CAPTURE, Intent.VOID}),
}

# The states a payment goes through, from where we believe it to be to where the provider says it is. A pair that is
# missing is old news: what a charge was before.
_ROUTES: dict[tuple[State, State], tuple[State, ...]] = {
    (State.PENDING, State.AUTHORIZED): (State.AUTHORIZED,),
    (State.PENDING, State.CAPTURED): (State.AUTHORIZED, State.CAPTURED),
    (State.PENDING, State.REFUNDED): (State.AUTHORIZED, State.CAPTURED, State.REFUNDED),
    (State.PENDING, State.DECLINED): (State.DECLINED,),
    (State.PENDING, State.VOIDED): (State.VOIDED,),
    (State.AUTHORIZED, State.CAPTURED): (State.CAPTURED,),
    (State.AUTHORIZED, State.REFUNDED): (State.CAPTURED, State.REFUNDED),
    (State.AUTHORIZED, State.VOIDED): (State.VOIDED,),
    (State.CAPTURED, State.REFUNDED): (State.REFUNDED,),
}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of its currency."""

    currency_code: str
    minor_units: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What the provider says of a payment."""

    state: State
    decline_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What an order is paid with, as it is at one version."""

    order_id: str
    amount: Money | None
    """None when the order was voided before anything was asked for."""
    state: State
    intent: Intent | None
    """What the provider has been asked for without its outcome being known."""
    decline_code: str
    version: int
    created_at: datetime
    updated_at: datetime

    def stages_to(self, charge: Charge, now: datetime) -> tuple["Payment", ...]:
        """Every stage the payment has gone through to where the charge stands, oldest first; none for old news."""
        route = _ROUTES.get((self.state, charge.state), ())
        return tuple(
            replace(
                self,
                state=state,
                intent=self.intent if self.intent and state in self.intent.open_in else None,
                decline_code=charge.decline_code if state is State.DECLINED else "",
                version=version,
                updated_at=now,
            )
            for version, state in enumerate(route, self.version + 1)
        )

    def demand(self, intent: Intent) -> None:
        """Return when the intent has come to what was wanted; raise what whoever had it is told when it has not."""
        if self.state in intent.achieved_in:
            return
        if intent is Intent.AUTHORIZE and self.state is State.DECLINED:
            raise PaymentDeclined("the payment provider declined", decline_code=self.decline_code)
        if intent is Intent.VOID and self.state is State.CAPTURED:
            raise PaymentTaken("the amount was taken already")
        if intent in (Intent.VOID, Intent.REFUND) or self.intent in (Intent.AUTHORIZE, intent):
            raise ProviderOutcomeUnknown
        raise PaymentClosed("nothing can be taken for this order any more", state=self.state)

    def demand_amount(self, amount: Money) -> None:
        """Raise PaymentMismatch when the payment is of another amount."""
        if self.amount not in (None, amount):
            raise PaymentMismatch("the order has a payment of another amount")


class LedgerAccount(StrEnum):
    """An account of the ledger."""

    PROVIDER_RECEIVABLE = "provider_receivable"
    SALES_REVENUE = "sales_revenue"
    REFUNDS = "refunds"


@dataclass(frozen=True, slots=True)
class Booking:
    """An amount that goes from the account it is credited to, to the one it is debited to."""

    kind: str
    debit: LedgerAccount
    credit: LedgerAccount


BOOKINGS = {
    State.CAPTURED: Booking("capture", debit=LedgerAccount.PROVIDER_RECEIVABLE, credit=LedgerAccount.SALES_REVENUE),
    State.REFUNDED: Booking("refund", debit=LedgerAccount.REFUNDS, credit=LedgerAccount.PROVIDER_RECEIVABLE),
}
"""The stages that are booked, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One side of a booking, as it stands in the ledger."""

    position: int
    booking_id: str
    order_id: str
    kind: str
    account: LedgerAccount
    amount: Money
    """Above zero for a debit, below for a credit."""
    booked_at: datetime
