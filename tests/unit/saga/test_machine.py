"""How a saga moves, told as transcripts."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chassis.saga.encoding import from_json, to_json
from chassis.saga.errors import AlreadyCompensating, AlreadyFinished, CancelTooLate, ForceNotPossible
from chassis.saga.events import (
    CancelAsked,
    Event,
    Failed,
    ForceCompensateAsked,
    ForceCompleteAsked,
    Refused,
    Resumed,
    RetryAsked,
    Succeeded,
)
from chassis.saga.history import LONGEST, LONGEST_DETAIL
from chassis.saga.machine import Direction, Rest, Run, Status, Transition, Wait, advance, begin
from chassis.saga.plan import Backoff, Plan, PlannedStep
from chassis.saga.story import sentence, tell

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RESERVE = PlannedStep("reserve_stock", patience=3)
AUTHORIZE = PlannedStep("authorize_payment", patience=3)
CAPTURE = PlannedStep("capture_payment", patience=3, is_pivot=True)
COMMIT = PlannedStep("commit_stock", patience=3, has_undo=False)
CHECKOUT = Plan("checkout", (RESERVE, AUTHORIZE, CAPTURE, COMMIT))

DONE = Succeeded(NOON)
LOST = Failed(NOON, "UNAVAILABLE")
REFUSED = Refused(NOON, "DECLINED", "no funds")
CANCEL = CancelAsked(NOON, "customer-1", "changed my mind")
RETRY = RetryAsked(NOON, "staff-1", "mended")
COMPLETE = ForceCompleteAsked(NOON, "staff-1", "done by hand")
COMPENSATE = ForceCompensateAsked(NOON, "staff-1", "money back")


def after(*events: Event, plan: Plan = CHECKOUT) -> Transition:
    """Where a new saga stands after these events."""
    transition = begin(plan, NOON, "saga-1")
    for event in events:
        transition = advance(plan, transition.state, event)
    return transition


def story(transition: Transition) -> list[str]:
    """What has happened so far, in words."""
    return [sentence(entry) for entry in transition.state.history]


def test_steps_are_done_in_order_until_the_saga_is_completed() -> None:
    """The plain case: every step is called once, and then there is nothing left to do."""
    at_each_step = [after(*[DONE] * count).command for count in range(4)]
    end = after(DONE, DONE, DONE, DONE)

    assert at_each_step == [Run(step, Direction.DO) for step in CHECKOUT.steps]
    assert end.command == Rest()
    assert end.state.status is Status.COMPLETED
    assert story(end) == [
        "started",
        "reserve_stock: done",
        "authorize_payment: done",
        "capture_payment: done",
        "commit_stock: done",
        "completed",
    ]


def test_a_refused_step_is_not_undone_but_all_before_it_are_in_reverse() -> None:
    """A refusal had no effect, so there is nothing to undo of the step that refused."""
    refused = after(DONE, DONE, REFUSED)

    assert refused.command == Run(AUTHORIZE, Direction.UNDO)
    assert story(after(DONE, DONE, REFUSED, DONE, DONE))[3:] == [
        "capture_payment: refused (DECLINED: no funds)",
        "authorize_payment: undone",
        "reserve_stock: undone",
        "compensated: nothing of it remains",
    ]


def test_a_saga_refused_at_its_first_step_is_over() -> None:
    """Nothing was done, so nothing is undone."""
    assert after(REFUSED).state.status is Status.COMPENSATED


def test_a_failed_step_is_tried_again_after_a_pause() -> None:
    """A lost answer says nothing: the same call is made again, later."""
    failed = after(DONE, LOST)

    assert isinstance(failed.command, Wait)
    assert NOON < failed.command.until <= NOON + AUTHORIZE.backoff.first
    assert advance(CHECKOUT, failed.state, Resumed(failed.command.until)).command == Run(AUTHORIZE, Direction.DO)


def test_a_step_is_undone_too_when_patience_ends() -> None:
    """Its outcome is unknown, so its undo must tolerate that it never happened."""
    gave_up = after(DONE, LOST, LOST, LOST)

    assert gave_up.command == Run(AUTHORIZE, Direction.UNDO)
    assert story(gave_up)[2:] == [
        "authorize_payment: no certain answer (UNAVAILABLE), 2 times; will be tried again",
        "authorize_payment: patience ended (UNAVAILABLE); it may have taken effect and is undone with the rest",
    ]


@pytest.mark.parametrize("doubt", [LOST, Resumed(NOON)])
def test_a_refusal_after_an_uncertain_call_undoes_the_step_in_doubt(doubt: Event) -> None:
    """The earlier call may have had the effect that the refused one had not."""
    assert after(DONE, doubt, REFUSED).command == Run(AUTHORIZE, Direction.UNDO)


def test_an_undo_is_tried_for_ever() -> None:
    """However often an undo fails, it is waited for, and its failures fill one line."""
    failing = after(DONE, REFUSED, *[LOST] * 1000)

    assert isinstance(failing.command, Wait)
    assert story(failing)[-1] == (
        "reserve_stock: undo got no certain answer (UNAVAILABLE), 1000 times; will be tried again"
    )


def test_a_step_after_the_pivot_is_tried_for_ever() -> None:
    """Past the point of no return there is only forward."""
    assert isinstance(after(DONE, DONE, DONE, *[LOST] * 1000).command, Wait)


@pytest.mark.parametrize(
    "events", [(DONE, DONE, DONE, REFUSED), (DONE, REFUSED, REFUSED)], ids=["after the pivot", "of an undo"]
)
def test_a_refusal_that_leaves_no_way_waits_for_an_operator(events: tuple[Event, ...]) -> None:
    """What can go neither on nor back stops, and says why."""
    stuck = after(*events)

    assert stuck.command == Rest()
    assert stuck.state.status is Status.NEEDS_OPERATOR
    assert stuck.state.failure is not None
    assert stuck.state.failure.reason == "DECLINED"


def test_a_stuck_saga_is_retried_under_a_new_round() -> None:
    """The callee keeps its refusal under the old request id, so a retry must not repeat it."""
    retried = after(DONE, DONE, DONE, REFUSED, RETRY)

    assert retried.command == Run(COMMIT, Direction.DO)
    assert retried.state.round == 1


def test_retrying_a_waiting_saga_ends_its_pause_and_keeps_its_round() -> None:
    """Its last call may have taken effect, so it must be made under the same request id."""
    retried = after(LOST, RETRY)

    assert retried.command == Run(RESERVE, Direction.DO)
    assert retried.state.round == 0


def test_a_cancelled_saga_undoes_the_step_at_hand_too() -> None:
    """Another driver may be calling it at this moment."""
    cancelled = after(DONE, CANCEL)

    assert cancelled.command == Run(AUTHORIZE, Direction.UNDO)
    assert story(cancelled)[-1] == "cancelled at authorize_payment by customer-1 (changed my mind)"


@pytest.mark.parametrize("events", [(DONE, DONE), (DONE, DONE, DONE), (DONE, DONE, DONE, DONE)])
def test_a_cancellation_is_too_late_from_the_pivot_on(events: tuple[Event, ...]) -> None:
    """The pivot may already be happening."""
    with pytest.raises(CancelTooLate):
        after(*events, CANCEL)


@pytest.mark.parametrize("events", [(DONE, REFUSED), (DONE, REFUSED, DONE)], ids=["on its way", "at its end"])
def test_a_saga_already_turned_back_is_not_cancelled_again(events: tuple[Event, ...]) -> None:
    """The first reason stays the reason."""
    with pytest.raises(AlreadyCompensating):
        after(*events, CANCEL)


def test_an_operator_can_vouch_for_a_step_after_the_pivot() -> None:
    """The step counts as done, and the history says on whose word."""
    forced = after(DONE, DONE, DONE, REFUSED, COMPLETE)

    assert forced.state.status is Status.COMPLETED
    assert story(forced)[-2:] == ["commit_stock: taken as done on the word of staff-1 (done by hand)", "completed"]


@pytest.mark.parametrize("events", [(), (DONE, DONE), (DONE, REFUSED), (DONE, REFUSED, REFUSED)])
def test_a_saga_cannot_be_completed_by_force_before_the_pivot_or_on_its_way_back(events: tuple[Event, ...]) -> None:
    """It would be confirmed without its money or its goods."""
    with pytest.raises(ForceNotPossible):
        after(*events, COMPLETE)


def test_an_operator_can_turn_a_saga_back_after_the_pivot() -> None:
    """Steps without an undo are passed over."""
    assert after(DONE, DONE, DONE, REFUSED, COMPENSATE).command == Run(CAPTURE, Direction.UNDO)


def test_an_operator_can_vouch_for_a_stuck_undo() -> None:
    """The undo counts as done by hand, and the rest is undone."""
    vouched = after(DONE, DONE, REFUSED, REFUSED, COMPENSATE)

    assert vouched.command == Run(RESERVE, Direction.UNDO)
    assert story(vouched)[-1] == "authorize_payment: taken as undone on the word of staff-1 (money back)"


def test_an_undo_under_way_is_not_passed_over_by_force() -> None:
    """Only a refused undo may be vouched for: one that is being tried will come to an end."""
    with pytest.raises(AlreadyCompensating):
        after(DONE, DONE, REFUSED, COMPENSATE)


@pytest.mark.parametrize("wish", [RETRY, COMPLETE, COMPENSATE])
def test_an_ended_saga_grants_no_wish(wish: Event) -> None:
    """An end is an end."""
    with pytest.raises(AlreadyFinished):
        after(REFUSED, wish)


def test_pauses_double_up_to_the_cap_and_differ_between_sagas() -> None:
    """The same seed gives the same pause, another seed another, never more than the cap nor less than half."""
    backoff = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=4))
    pauses = [backoff.pause(failures, "saga-1") for failures in range(1, 6)]

    assert pauses == [backoff.pause(failures, "saga-1") for failures in range(1, 6)]
    assert pauses != [backoff.pause(failures, "saga-2") for failures in range(1, 6)]
    longest = [timedelta(seconds=seconds) for seconds in (1, 2, 4, 4, 4)]
    assert [each for each in zip(pauses, longest, strict=True) if not each[1] / 2 <= each[0] <= each[1]] == []


def test_history_is_bounded_and_keeps_its_beginning_and_its_end() -> None:
    """However long a saga is fought over, its row stays small."""
    fought = after(DONE, *[Failed(NOON, f"REASON_{count}", "x" * 1000) for count in range(2)], *[RETRY] * 200)

    assert len(fought.state.history) == LONGEST
    assert story(fought)[:2] == ["started", "reserve_stock: done"]
    assert max(len(entry.detail) for entry in fought.state.history) <= LONGEST_DETAIL


def test_a_state_survives_being_written() -> None:
    """What is read from a row is what was written to it."""
    state = after(DONE, LOST, LOST, REFUSED, LOST).state

    assert from_json(CHECKOUT, "saga-1", json.loads(json.dumps(to_json(CHECKOUT, state)))) == state


def test_a_story_names_its_times() -> None:
    """The lines an operator reads begin with the instant."""
    assert tell(after(DONE).state.history)[1] == "2026-01-01 12:00:00Z  reserve_stock: done"


@pytest.mark.parametrize("steps", [(), (RESERVE, RESERVE), (CAPTURE, PlannedStep("other", is_pivot=True))])
def test_a_plan_that_makes_no_sense_is_refused(steps: tuple[PlannedStep, ...]) -> None:
    """No steps, two of one name, or two points of no return."""
    with pytest.raises(ValueError, match="saga nonsense"):
        Plan("nonsense", steps)
