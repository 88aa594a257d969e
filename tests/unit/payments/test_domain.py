"""A payment only moves forward, whatever the provider says and in whichever order its answers arrive."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.errors import Problem
from services.payments.domain import (
    BOOKINGS,
    Charge,
    Intent,
    Money,
    Payment,
    PaymentClosed,
    PaymentDeclined,
    PaymentMismatch,
    PaymentTaken,
    ProviderOutcomeUnknown,
    State,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAY_FOLLOW = {
    State.PENDING: {State.AUTHORIZED, State.DECLINED, State.VOIDED},
    State.AUTHORIZED: {State.CAPTURED, State.VOIDED},
    State.CAPTURED: {State.REFUNDED},
    State.DECLINED: set(),
    State.VOIDED: set(),
    State.REFUNDED: set(),
}
"""The life of a payment, as the contract draws it."""

charges = st.sampled_from([state for state in State if state is not State.PENDING]).map(
    lambda state: Charge(state, decline_code="card_declined" if state is State.DECLINED else "")
)


def payment(state: State = State.PENDING, intent: Intent | None = None, version: int = 0) -> Payment:
    """A payment in a state."""
    return Payment(
        order_id="01a1fb7d-0c49-75ae-85aa-b52d6a6bd7dc",
        amount=Money("GBP", 4_950),
        state=state,
        intent=intent,
        decline_code="card_declined" if state is State.DECLINED else "",
        version=version,
        created_at=NOW,
        updated_at=NOW,
    )


@given(st.lists(charges))
def test_whatever_the_provider_says_a_payment_only_moves_forward(heard: list[Charge]) -> None:
    """Late, repeated and contradicting answers: every stage may follow the one before, and is counted."""
    stages = [payment(intent=Intent.AUTHORIZE)]
    for charge in heard:
        stages += stages[-1].stages_to(charge, NOW)
    for before, after in itertools.pairwise(stages):
        assert after.state in MAY_FOLLOW[before.state]
        assert after.version == before.version + 1
        assert (after.state is State.DECLINED) == bool(after.decline_code)
        assert after.intent is None or after.state in after.intent.open_in
    booked = [stage.state for stage in stages if stage.state in BOOKINGS]
    assert booked == [State.CAPTURED, State.REFUNDED][: len(booked)]


@pytest.mark.parametrize("here", State)
@pytest.mark.parametrize("there", [state for state in State if state is not State.PENDING])
def test_a_payment_arrives_wherever_its_life_can_lead(here: State, there: State) -> None:
    """A charge that is ahead is caught up with, stage by stage; one that is behind or aside is old news."""
    stages = payment(here).stages_to(Charge(there, "card_declined" if there is State.DECLINED else ""), NOW)
    assert [stage.state for stage in stages] == _way(here, there)


def _way(here: State, there: State) -> list[State]:
    """The way through `MAY_FOLLOW`, without `here`, and without a detour; empty when there is none."""
    if there in MAY_FOLLOW[here]:
        return [there]
    for step in MAY_FOLLOW[here]:
        if further := _way(step, there):
            return [step, *further]
    return []


@pytest.mark.parametrize(
    ("wanted", "state", "open_intent", "problem"),
    [
        (Intent.AUTHORIZE, State.PENDING, Intent.AUTHORIZE, ProviderOutcomeUnknown),
        (Intent.AUTHORIZE, State.PENDING, Intent.VOID, PaymentClosed),
        (Intent.AUTHORIZE, State.AUTHORIZED, None, None),
        (Intent.AUTHORIZE, State.CAPTURED, None, None),
        (Intent.AUTHORIZE, State.DECLINED, None, PaymentDeclined),
        (Intent.AUTHORIZE, State.VOIDED, None, PaymentClosed),
        (Intent.AUTHORIZE, State.REFUNDED, None, PaymentClosed),
        (Intent.CAPTURE, State.PENDING, Intent.AUTHORIZE, ProviderOutcomeUnknown),
        (Intent.CAPTURE, State.PENDING, Intent.VOID, PaymentClosed),
        (Intent.CAPTURE, State.AUTHORIZED, Intent.CAPTURE, ProviderOutcomeUnknown),
        (Intent.CAPTURE, State.AUTHORIZED, Intent.REFUND, PaymentClosed),
        (Intent.CAPTURE, State.CAPTURED, None, None),
        (Intent.CAPTURE, State.DECLINED, None, PaymentClosed),
        (Intent.CAPTURE, State.VOIDED, None, PaymentClosed),
        (Intent.CAPTURE, State.REFUNDED, None, PaymentClosed),
        (Intent.VOID, State.PENDING, Intent.REFUND, ProviderOutcomeUnknown),
        (Intent.VOID, State.AUTHORIZED, Intent.VOID, ProviderOutcomeUnknown),
        (Intent.VOID, State.CAPTURED, None, PaymentTaken),
        (Intent.VOID, State.DECLINED, None, None),
        (Intent.VOID, State.VOIDED, None, None),
        (Intent.VOID, State.REFUNDED, None, None),
        (Intent.REFUND, State.AUTHORIZED, Intent.REFUND, ProviderOutcomeUnknown),
        (Intent.REFUND, State.CAPTURED, Intent.REFUND, ProviderOutcomeUnknown),
        (Intent.REFUND, State.DECLINED, None, None),
        (Intent.REFUND, State.VOIDED, None, None),
        (Intent.REFUND, State.REFUNDED, None, None),
    ],
)
def test_what_was_wanted_is_there_or_refused(
    wanted: Intent, state: State, open_intent: Intent | None, problem: type[Problem] | None
) -> None:
    """What is final is refused for good; what is open is to be asked again."""
    if problem is None:
        payment(state, open_intent).demand(wanted)
    else:
        with pytest.raises(problem):
            payment(state, open_intent).demand(wanted)


def test_an_order_has_one_amount() -> None:
    """Another amount, or another currency, is another payment."""
    payment().demand_amount(Money("GBP", 4_950))
    for other in (Money("GBP", 4_951), Money("EUR", 4_950)):
        with pytest.raises(PaymentMismatch):
            payment().demand_amount(other)
