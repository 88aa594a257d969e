"""What the machine must know of a saga's steps: their order, their patience, and where the point of no return lies."""

import zlib
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

_CRC32_RANGE = 2**32


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter: pauses double from `first` up to `cap`; each is shortened by up to half of it."""

    first: timedelta = timedelta(milliseconds=100)
    cap: timedelta = timedelta(seconds=5)

    def pause(self, failures: int, seed: str) -> timedelta:
        """The pause after so many failures in a row (from 1); the same seed always gives the same pause."""
        doublings = min(failures - 1, 30)
        longest = min(self.cap, self.first * (1 << doublings))
        chance = zlib.crc32(f"{seed}/{failures}".encode()) / _CRC32_RANGE
        return longest * (1 - chance / 2)


USUAL_BACKOFF = Backoff()
USUAL_PATIENCE = 10


@dataclass(frozen=True)
class PlannedStep:
    """One step as the machine sees it."""

    name: str
    has_undo: bool = True
    is_pivot: bool = False
    patience: int = USUAL_PATIENCE
    backoff: Backoff = USUAL_BACKOFF


@dataclass(frozen=True)
class Plan:
    """The steps in their order. Once the pivot is done a saga only goes forward."""

    kind: str
    steps: tuple[PlannedStep, ...]

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"saga {self.kind}: steps must be named, each by a name of its own: {names}")
        if sum(step.is_pivot for step in self.steps) > 1:
            raise ValueError(f"saga {self.kind}: there is at most one point of no return")

    @cached_property
    def pivot(self) -> int:
        """The position of the pivot; the last step when none is marked, for a saga is over after it."""
        return next((at for at, step in enumerate(self.steps) if step.is_pivot), len(self.steps) - 1)

    def position(self, name: str) -> int:
        """Where the step of that name stands. Raises LookupError when there is none."""
        for at, step in enumerate(self.steps):
            if step.name == name:
                return at
        raise LookupError(f"saga {self.kind} has no step {name!r}")

    def last_undo(self, position: int) -> int | None:
        """The nearest step at or before the position that can be undone."""
        return next((at for at in range(position, -1, -1) if self.steps[at].has_undo), None)
