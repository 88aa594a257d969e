"""A saga's history in words, for the operator who must decide."""

from chassis.saga.history import EntryKind, History, HistoryEntry

_WORDS = {
    EntryKind.STARTED: "started",
    EntryKind.DONE: "{step}: done",
    EntryKind.FAILED: "{step}: no certain answer{reason}{times}; will be tried again",
    EntryKind.REFUSED: "{step}: refused{reason}",
    EntryKind.GAVE_UP: "{step}: patience ended{reason}; it may have taken effect and is undone with the rest",
    EntryKind.CANCELLED: "cancelled at {step} by {who}{why}",
    EntryKind.UNDONE: "{step}: undone",
    EntryKind.UNDO_FAILED: "{step}: undo got no certain answer{reason}{times}; will be tried again",
    EntryKind.UNDO_REFUSED: "{step}: undo refused{reason}; an operator must decide",
    EntryKind.RETRIED: "{step}: tried again at the wish of {who}{why}",
    EntryKind.FORCED_COMPLETE: "{step}: taken as done on the word of {who}{why}",
    EntryKind.FORCED_COMPENSATE: "{step}: turned back by force by {who}{why}",
    EntryKind.FORCED_UNDONE: "{step}: taken as undone on the word of {who}{why}",
    EntryKind.COMPLETED: "completed",
    EntryKind.COMPENSATED: "compensated: nothing of it remains",
}


def tell(history: History) -> list[str]:
    """One line for each thing that happened, the oldest first."""
    return [f"{entry.at:%Y-%m-%d %H:%M:%S}Z  {sentence(entry)}" for entry in history]


def sentence(entry: HistoryEntry) -> str:
    """What happened, without the time."""
    return _WORDS[entry.what].format(
        step=entry.step,
        who=entry.who,
        why=f" ({entry.detail})" if entry.detail else "",
        reason=_reason(entry),
        times=f", {entry.times} times" if entry.times > 1 else "",
    )


def _reason(entry: HistoryEntry) -> str:
    parts = [part for part in (entry.reason, entry.detail) if part]
    return f" ({': '.join(parts)})" if parts else ""
