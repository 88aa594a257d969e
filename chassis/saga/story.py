"""A saga's history in words, for the operator who must decide."""

from chassis.saga.history import Happening, History, What

_WORDS = {
    What.STARTED: "started",
    What.DONE: "{step}: done",
    What.FAILED: "{step}: no certain answer{reason}{times}; will be tried again",
    What.REFUSED: "{step}: refused{reason}",
    What.GAVE_UP: "{step}: patience ended{reason}; it may have taken effect and is undone with the rest",
    What.CANCELLED: "cancelled at {step} by {who}{why}",
    What.UNDONE: "{step}: undone",
    What.UNDO_FAILED: "{step}: undo got no certain answer{reason}{times}; will be tried again",
    What.UNDO_REFUSED: "{step}: undo refused{reason}; an operator must decide",
    What.RETRIED: "{step}: tried again at the wish of {who}{why}",
    What.FORCED_COMPLETE: "{step}: taken as done on the word of {who}{why}",
    What.FORCED_COMPENSATE: "{step}: turned back by force by {who}{why}",
    What.FORCED_UNDONE: "{step}: taken as undone on the word of {who}{why}",
    What.COMPLETED: "completed",
    What.COMPENSATED: "compensated: nothing of it remains",
}


def tell(history: History) -> list[str]:
    """One line for each thing that happened, the oldest first."""
    return [f"{happening.at:%Y-%m-%d %H:%M:%S}Z  {sentence(happening)}" for happening in history]


def sentence(happening: Happening) -> str:
    """What happened, without the time."""
    return _WORDS[happening.what].format(
        step=happening.step,
        who=happening.who,
        why=f" ({happening.detail})" if happening.detail else "",
        reason=_reason(happening),
        times=f", {happening.times} times" if happening.times > 1 else "",
    )


def _reason(happening: Happening) -> str:
    parts = [part for part in (happening.reason, happening.detail) if part]
    return f" ({': '.join(parts)})" if parts else ""
