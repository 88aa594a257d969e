"""What payments does, one function each.

The provider is never asked inside a transaction. Asking leaves a trace first (the intent), so that nothing the provider
did can stay unknown: the next call finds it out, or the background does.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.core import errors, failpoints, logs
from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from services.payments import publisher, store
from services.payments.domain import Charge, Intent, LedgerEntry, Money, Payment, PaymentNotFound
from services.payments.peers import Provider
from services.payments.settings import Settings

OVERDUE_AT_ONCE = 20

log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What asking the provider came to: the payment as it was seen before, and what the provider says it is."""

    intent: Intent
    seen: Payment | None
    """None when the order has no payment."""
    charge: Charge | None = None
    """None when there was no need to ask."""
    amount: Money | None = None
    """What the caller wanted it to be of; None when it did not say."""


class UseCases:
    """Whatever changes a payment has two halves: ask the provider, then record the outcome with the answer it gets."""

    def __init__(self, database: Database, clock: Clock, provider: Provider, settings: Settings) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._ask_again_after = timedelta(seconds=settings.ask_again_seconds)
        self._abandon_after = timedelta(seconds=settings.abandon_seconds)

    async def authorize(self, order_id: str, amount: Money, payment_token: str) -> Outcome:
        """Ask the provider to hold the amount, unless the order has its payment already."""
        now = self._clock.now()
        async with self._database.read() as reader:
            seen = await store.intend_authorization(
                reader, order_id, amount, now=now, ask_again_at=now + self._ask_again_after
            )
        if seen.intent is not Intent.AUTHORIZE or seen.amount != amount:
            return Outcome(Intent.AUTHORIZE, seen, amount=amount)
        charge = await self._provider.authorize(seen.order_id, amount, payment_token)
        await failpoints.reach("payments.authorize.after_provider")
        return Outcome(Intent.AUTHORIZE, seen, charge, amount)

    async def capture(self, order_id: str) -> Outcome:
        """Ask the provider to take the amount, if it is held."""
        async with self._database.read() as reader:
            seen = await store.intend_capture(reader, order_id, ask_again_at=self._clock.now() + self._ask_again_after)
        if seen is None or seen.intent is not Intent.CAPTURE:
            return Outcome(Intent.CAPTURE, seen)
        charge = await self._provider.capture(seen.order_id)
        await failpoints.reach("payments.capture.after_provider")
        return Outcome(Intent.CAPTURE, seen, charge)

    async def void(self, order_id: str) -> Outcome:
        """Ask the provider to give up the hold; an order without a payment gets one that is closed."""
        seen = await self._intend_undoing(order_id, Intent.VOID)
        if seen.intent is not Intent.VOID:
            return Outcome(Intent.VOID, seen)
        charge = await self._provider.void(seen.order_id)
        await failpoints.reach("payments.void.after_provider")
        return Outcome(Intent.VOID, seen, charge)

    async def refund(self, order_id: str) -> Outcome:
        """Ask the provider to give back what it took, or to give up what it holds."""
        seen = await self._intend_undoing(order_id, Intent.REFUND)
        if seen.intent is not Intent.REFUND:
            return Outcome(Intent.REFUND, seen)
        charge = await self._provider.refund(seen.order_id)
        await failpoints.reach("payments.refund.after_provider")
        return Outcome(Intent.REFUND, seen, charge)

    async def record(self, tx: Transaction, outcome: Outcome) -> Payment:
        """Bring the payment to where the provider says it is, with bookings and facts.

        Raises PaymentNotFound, PaymentMismatch, PaymentDeclined, PaymentClosed, PaymentTaken, ProviderOutcomeUnknown.
        """
        payment = outcome.seen
        if payment is None:
            raise PaymentNotFound("the order has no payment")
        if outcome.charge:
            payment = await self._advance(tx, payment, outcome.charge)
        if outcome.amount:
            payment.demand_amount(outcome.amount)
        payment.demand(outcome.intent)
        return payment

    async def get_payment(self, order_id: str) -> Payment:
        """The payment of an order. Raises PaymentNotFound."""
        async with self._database.read() as reader:
            payment = await store.find_payment(reader, order_id)
        if payment is None:
            raise PaymentNotFound("the order has no payment")
        return payment

    async def list_entries(self, order_id: str | None, *, after: int, limit: int) -> list[LedgerEntry]:
        """At most `limit` entries of the ledger that follow the one at a position, of one order or of all."""
        async with self._database.read() as reader:
            if order_id:
                return await store.list_entries_of_order(reader, order_id, after=after, limit=limit)
            return await store.list_entries(reader, after=after, limit=limit)

    async def keep_asking(self) -> None:
        """Find out, for as long as the process lives, what the provider did for calls that did not live to hear it."""
        while True:
            await self._clock.sleep(self._ask_again_after.total_seconds() / 2)
            while await self._ask_again():
                pass

    async def _ask_again(self) -> bool:
        """Find out what became of some payments whose outcome is overdue; False when none is left."""
        now = self._clock.now()
        async with self._database.read() as reader:
            overdue = await store.take_overdue(
                reader, now=now, ask_again_at=now + self._ask_again_after, limit=OVERDUE_AT_ONCE
            )
        for payment in overdue:
            try:
                await self._resolve(payment, now)
            except errors.Problem as problem:
                log.warning("payment_outcome_still_unknown", order_id=payment.order_id, reason=problem.reason)
        return bool(overdue)

    async def _resolve(self, payment: Payment, now: datetime) -> None:
        charge = await self._charge_of(payment, now)
        if charge is None:
            return
        async with self._database.transaction() as tx:
            await self._advance(tx, payment, charge)

    async def _charge_of(self, payment: Payment, now: datetime) -> Charge | None:
        """What the provider says to the open intent. An authorization cannot be repeated: nobody kept the card token."""
        if payment.intent is Intent.CAPTURE:
            return await self._provider.capture(payment.order_id)
        if payment.intent is Intent.VOID:
            return await self._provider.void(payment.order_id)
        if payment.intent is Intent.REFUND:
            return await self._provider.refund(payment.order_id)
        charge = await self._provider.find(payment.order_id)
        if charge is None and now - payment.created_at >= self._abandon_after:
            return await self._provider.void(payment.order_id)
        return charge

    async def _intend_undoing(self, order_id: str, intent: Intent) -> Payment:
        now = self._clock.now()
        async with self._database.read() as reader:
            return await store.intend_undoing(
                reader, order_id, intent, now=now, ask_again_at=now + self._ask_again_after
            )

    async def _advance(self, tx: Transaction, seen: Payment, charge: Charge) -> Payment:
        """The payment, moved on to where the charge stands; somebody else may have moved it meanwhile."""
        while stages := seen.stages_to(charge, self._clock.now()):
            if await store.advance(tx, seen, stages):
                publisher.payment_went_through(tx, stages)
                return stages[-1]
            seen = await store.lock_payment(tx, seen.order_id)
        return seen
