"""The saga as a pure function, (state, event) → (state, command): no IO, no clock, no chance.

Going forward, a step that fails is tried again; when patience ends its outcome is unknown, so it is undone together with
all before it. A step that refuses had no effect, so only what came before it is undone. Once the pivot is done nothing
is undone any more, unless an operator forces it. An undo is tried for ever. What can go neither on nor back waits for
an operator.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import reduce
from typing import TypeAlias, assert_never

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
    Wish,
)
from chassis.saga.history import EntryKind, History, HistoryEntry, remember
from chassis.saga.plan import Plan, PlannedStep


class Status(StrEnum):
    """Where a saga stands."""

    RUNNING = "RUNNING"
    COMPENSATING = "COMPENSATING"
    NEEDS_OPERATOR = "NEEDS_OPERATOR"
    COMPLETED = "COMPLETED"
    COMPENSATED = "COMPENSATED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to the saga any more."""
        return self in _FINAL


_FINAL = frozenset({Status.COMPLETED, Status.COMPENSATED})


class Direction(StrEnum):
    """Which way a saga goes."""

    DO = "do"
    UNDO = "undo"


@dataclass(frozen=True)
class Failure:
    """What first made a saga turn back, or stop."""

    step: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class State:
    """Everything a saga must remember between two events. `position` is the step at hand, being done or undone.

    `round` is part of every request id: it grows when an operator has a refused step tried again, because callees keep
    their refusals and would only repeat them.
    """

    seed: str
    status: Status = Status.RUNNING
    direction: Direction = Direction.DO
    position: int = 0
    failures: int = 0
    in_doubt: bool = False
    round: int = 0
    wake_at: datetime | None = None
    failure: Failure | None = None
    history: History = ()


@dataclass(frozen=True)
class Run:
    """Call the step at hand."""

    step: PlannedStep
    direction: Direction


@dataclass(frozen=True)
class Wait:
    """Let the step at hand rest until then."""

    until: datetime


@dataclass(frozen=True)
class Rest:
    """There is nothing to do: the saga has ended, or waits for an operator."""


Command: TypeAlias = Run | Wait | Rest


@dataclass(frozen=True)
class Transition:
    """What an event made of a saga, what of it is news, and what to do next."""

    state: State
    command: Command
    news: tuple[HistoryEntry, ...] = ()


def begin(plan: Plan, at: datetime, seed: str) -> Transition:
    """A new saga, about to do its first step."""
    return _moved(plan, State(seed), HistoryEntry(at, EntryKind.STARTED))


def advance(plan: Plan, state: State, event: Event) -> Transition:
    """What the event makes of the saga. Raises the reason when a wish cannot be granted."""
    if state.status.is_final:
        raise _ended(state, event)
    match event:
        case Resumed():
            return _moved(plan, replace(state, in_doubt=True, wake_at=None))
        case Succeeded():
            return _succeeded(plan, state, event)
        case Failed():
            return _failed(plan, state, event)
        case Refused():
            return _refused(plan, state, event)
        case Wish():
            return _wished(plan, state, event)
        case _:
            raise TypeError(f"not a saga event: {event!r}")


def _ended(state: State, event: Event) -> Exception:
    if not isinstance(event, CancelAsked):
        return AlreadyFinished("The saga has ended.")
    if state.status is Status.COMPLETED:
        return CancelTooLate("The saga is completed.")
    return AlreadyCompensating("What was done has been undone.")


def _succeeded(plan: Plan, state: State, event: Event) -> Transition:
    step = plan.steps[state.position].name
    if state.direction is Direction.DO:
        return _go_on(plan, state, HistoryEntry(event.at, EntryKind.DONE, step))
    return _go_back(plan, state, state.position - 1, HistoryEntry(event.at, EntryKind.UNDONE, step))


def _failed(plan: Plan, state: State, event: Failed) -> Transition:
    step = plan.steps[state.position]
    failures = state.failures + 1
    if _can_turn_back(plan, state) and failures >= step.patience:
        gave_up = HistoryEntry(event.at, EntryKind.GAVE_UP, step.name, event.reason, event.detail)
        return _turn_back(plan, state, state.position, gave_up)
    what = EntryKind.FAILED if state.direction is Direction.DO else EntryKind.UNDO_FAILED
    pause = step.backoff.pause(failures, f"{state.seed}/{step.name}/{state.direction}")
    waiting = replace(state, failures=failures, in_doubt=True, wake_at=event.at + pause)
    return _moved(plan, waiting, HistoryEntry(event.at, what, step.name, event.reason, event.detail))


def _refused(plan: Plan, state: State, event: Refused) -> Transition:
    step = plan.steps[state.position].name
    if state.direction is Direction.UNDO:
        return _stop(plan, state, HistoryEntry(event.at, EntryKind.UNDO_REFUSED, step, event.reason, event.detail))
    refusal = HistoryEntry(event.at, EntryKind.REFUSED, step, event.reason, event.detail)
    if not _can_turn_back(plan, state):
        return _stop(plan, state, refusal)
    # An earlier call of this step may have had an effect that only the refusing one lacked.
    return _turn_back(plan, state, state.position if state.in_doubt else state.position - 1, refusal)


def _wished(plan: Plan, state: State, wish: Wish) -> Transition:
    step = plan.steps[state.position].name
    match wish:
        case CancelAsked():
            return _cancel(plan, state, _granted(wish, EntryKind.CANCELLED, step))
        case RetryAsked():
            return _retry(plan, state, _granted(wish, EntryKind.RETRIED, step))
        case ForceCompleteAsked():
            return _force_complete(plan, state, _granted(wish, EntryKind.FORCED_COMPLETE, step))
        case ForceCompensateAsked():
            return _force_compensate(plan, state, wish)
        case _:
            raise TypeError(f"not a wish a saga knows: {wish!r}")


def _granted(wish: Wish, what: EntryKind, step: str) -> HistoryEntry:
    return HistoryEntry(wish.at, what, step, wish.reason, wish.why, wish.who)


def _cancel(plan: Plan, state: State, cancelled: HistoryEntry) -> Transition:
    if state.direction is Direction.UNDO:
        raise AlreadyCompensating("What was done is being undone already.")
    if state.position >= plan.pivot:
        raise CancelTooLate(f"The saga is at {cancelled.step}, its point of no return, or past it.")
    # Another driver may be calling the step at this very moment, so it counts as in doubt.
    return _turn_back(plan, state, state.position, cancelled)


def _retry(plan: Plan, state: State, retried: HistoryEntry) -> Transition:
    status = Status.RUNNING if state.direction is Direction.DO else Status.COMPENSATING
    round_ = state.round + 1 if state.status is Status.NEEDS_OPERATOR else state.round
    again = replace(state, status=status, failures=0, in_doubt=True, round=round_, wake_at=None)
    return _moved(plan, again, retried)


def _force_complete(plan: Plan, state: State, forced: HistoryEntry) -> Transition:
    if state.direction is Direction.UNDO or state.position <= plan.pivot:
        raise ForceNotPossible("A saga can only be completed by force once its point of no return is done.")
    return _go_on(plan, state, forced)


def _force_compensate(plan: Plan, state: State, wish: Wish) -> Transition:
    step = plan.steps[state.position].name
    if state.direction is Direction.DO:
        return _turn_back(plan, state, state.position, _granted(wish, EntryKind.FORCED_COMPENSATE, step))
    if state.status is Status.NEEDS_OPERATOR:
        return _go_back(plan, state, state.position - 1, _granted(wish, EntryKind.FORCED_UNDONE, step))
    raise AlreadyCompensating("What was done is being undone already.")


def _go_on(plan: Plan, state: State, news: HistoryEntry) -> Transition:
    """The step at hand is done: on to the next, or to the end."""
    if state.position + 1 < len(plan.steps):
        return _come_to(plan, state, Status.RUNNING, Direction.DO, state.position + 1, news)
    completed = HistoryEntry(news.at, EntryKind.COMPLETED)
    return _come_to(plan, state, Status.COMPLETED, Direction.DO, state.position, news, completed)


def _turn_back(plan: Plan, state: State, position: int, why: HistoryEntry) -> Transition:
    """Undo the step at that position and all before it."""
    failure = Failure(why.step, why.reason or why.what, why.detail)
    return _go_back(plan, replace(state, failure=failure), position, why)


def _go_back(plan: Plan, state: State, position: int, news: HistoryEntry) -> Transition:
    """The step after that position is undone: back to the nearest that can be, or to the end."""
    undo = plan.last_undo(position)
    if undo is not None:
        return _come_to(plan, state, Status.COMPENSATING, Direction.UNDO, undo, news)
    compensated = HistoryEntry(news.at, EntryKind.COMPENSATED)
    return _come_to(plan, state, Status.COMPENSATED, Direction.UNDO, state.position, news, compensated)


def _stop(plan: Plan, state: State, why: HistoryEntry) -> Transition:
    """Neither on nor back: an operator must decide."""
    failure = state.failure or Failure(why.step, why.reason, why.detail)
    stopped = replace(state, status=Status.NEEDS_OPERATOR, failure=failure, wake_at=None)
    return _moved(plan, stopped, why)


def _can_turn_back(plan: Plan, state: State) -> bool:
    return state.direction is Direction.DO and state.position <= plan.pivot


def _come_to(
    plan: Plan, state: State, status: Status, direction: Direction, position: int, *news: HistoryEntry
) -> Transition:
    """The saga comes fresh to a step."""
    history = reduce(remember, news, state.history)
    fresh = State(state.seed, status, direction, position, round=state.round, failure=state.failure, history=history)
    return Transition(fresh, _command(plan, fresh), news)


def _moved(plan: Plan, state: State, *news: HistoryEntry) -> Transition:
    """The saga stays at its step."""
    remembering = replace(state, history=reduce(remember, news, state.history)) if news else state
    return Transition(remembering, _command(plan, state), news)


def _command(plan: Plan, state: State) -> Command:
    match state.status:
        case Status.COMPLETED | Status.COMPENSATED | Status.NEEDS_OPERATOR:
            return Rest()
        case Status.RUNNING | Status.COMPENSATING:
            if state.wake_at is not None:
                return Wait(state.wake_at)
            return Run(plan.steps[state.position], state.direction)
        case _ as unknown:
            assert_never(unknown)
