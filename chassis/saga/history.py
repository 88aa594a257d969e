"""What a saga has been through, kept short enough to live in its row and full enough to be told."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias

LONGEST = 64
LONGEST_DETAIL = 200


class EntryKind(StrEnum):
    """The kinds of things that happen to a saga."""

    STARTED = "STARTED"
    DONE = "DONE"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    GAVE_UP = "GAVE_UP"
    CANCELLED = "CANCELLED"
    UNDONE = "UNDONE"
    UNDO_FAILED = "UNDO_FAILED"
    UNDO_REFUSED = "UNDO_REFUSED"
    RETRIED = "RETRIED"
    FORCED_COMPLETE = "FORCED_COMPLETE"
    FORCED_COMPENSATE = "FORCED_COMPENSATE"
    FORCED_UNDONE = "FORCED_UNDONE"
    COMPLETED = "COMPLETED"
    COMPENSATED = "COMPENSATED"


_REPEATABLE = frozenset({EntryKind.FAILED, EntryKind.UNDO_FAILED})


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that happened. `times` counts equal failures in a row; `at` is then the last of them."""

    at: datetime
    what: EntryKind
    step: str = ""
    reason: str = ""
    detail: str = ""
    who: str = ""
    times: int = 1

    def repeats(self, other: Self) -> bool:
        """Whether this is the other's failure once more."""
        return self.what in _REPEATABLE and (self.what, self.step, self.reason) == (
            other.what,
            other.step,
            other.reason,
        )


History: TypeAlias = tuple[HistoryEntry, ...]


def remember(history: History, entry: HistoryEntry) -> History:
    """The history with one more entry: a repeated failure is counted, and the middle is forgotten first."""
    if len(entry.detail) > LONGEST_DETAIL:
        entry = replace(entry, detail=entry.detail[:LONGEST_DETAIL])
    if history and entry.repeats(history[-1]):
        return (*history[:-1], replace(entry, times=history[-1].times + 1))
    if len(history) < LONGEST:
        return (*history, entry)
    return (*history[: LONGEST // 2], *history[LONGEST // 2 + 1 :], entry)
