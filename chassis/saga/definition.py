"""A saga as a service tells it: its steps in order, each with its undo, the compensating transaction."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

from chassis.database import Transaction
from chassis.saga.machine import Direction, Run, Transition
from chassis.saga.plan import USUAL_BACKOFF, USUAL_PATIENCE, Backoff, Plan, PlannedStep

T = TypeVar("T")

Action: TypeAlias = Callable[[T, str], Awaitable[None]]
"""Called with the saga's data and a request id. Raises a permanent Problem to refuse, a transient one to be retried."""

Recorder: TypeAlias = Callable[[Transaction, T, Transition], Awaitable[None]]
"""Writes what a move of the saga means to its service, in the transaction of the move."""


@dataclass(frozen=True)
class Step(Generic[T]):
    """One thing to do. Both actions are idempotent by request id; the undo tolerates that nothing was ever done.

    A step is marked `is_pivot` when nothing may be undone after it.
    """

    name: str
    do: Action[T]
    undo: Action[T] | None = None
    is_pivot: bool = False


@dataclass(frozen=True)
class Definition(Generic[T]):
    """A kind of saga. Its data is what its steps need; it never changes and is forgotten at the end.

    `patience` is how many failures of a step in a row are borne before the saga turns back.
    """

    kind: str
    steps: tuple[Step[T], ...]
    record: Recorder[T]
    to_json: Callable[[T], dict[str, Any]]
    from_json: Callable[[dict[str, Any]], T]
    patience: int = USUAL_PATIENCE
    backoff: Backoff = USUAL_BACKOFF

    @cached_property
    def plan(self) -> Plan:
        """What the machine must know."""
        return Plan(self.kind, tuple(self._planned(step) for step in self.steps))

    def _planned(self, step: Step[T]) -> PlannedStep:
        return PlannedStep(step.name, step.undo is not None, step.is_pivot, self.patience, self.backoff)

    def action(self, position: int, run: Run) -> Action[T]:
        """What carries out the command."""
        step = self.steps[position]
        if run.direction is Direction.DO:
            return step.do
        if step.undo is None:
            raise TypeError(f"{self.kind}.{step.name} has no undo")
        return step.undo
