"""A saga's state as the JSON that its row holds."""

from datetime import datetime
from typing import Any, TypeAlias

from chassis.saga.history import EntryKind, HistoryEntry
from chassis.saga.machine import Direction, Failure, State, Status
from chassis.saga.plan import Plan

Json: TypeAlias = dict[str, Any]


def to_json(plan: Plan, state: State) -> Json:
    """The state without its seed, which is the saga's id. Its step stands there by name: a plan may gain steps."""
    return {
        "status": state.status.value,
        "direction": state.direction.value,
        "step": plan.steps[state.position].name,
        "failures": state.failures,
        "in_doubt": state.in_doubt,
        "round": state.round,
        "wake_at": state.wake_at and state.wake_at.isoformat(),
        "failure": state.failure and [state.failure.step, state.failure.reason, state.failure.detail],
        "history": [_entry_to_json(entry) for entry in state.history],
    }


def from_json(plan: Plan, saga_id: str, json: Json) -> State:
    """The state as it was written."""
    return State(
        seed=saga_id,
        status=Status(json["status"]),
        direction=Direction(json["direction"]),
        position=plan.position(json["step"]),
        failures=json["failures"],
        in_doubt=json["in_doubt"],
        round=json["round"],
        wake_at=json["wake_at"] and datetime.fromisoformat(json["wake_at"]),
        failure=json["failure"] and Failure(*json["failure"]),
        history=tuple(_entry_from_json(entry) for entry in json["history"]),
    )


def _entry_to_json(entry: HistoryEntry) -> Json:
    written = {
        "step": entry.step,
        "reason": entry.reason,
        "detail": entry.detail,
        "who": entry.who,
    }
    json: Json = {"at": entry.at.isoformat(), "what": entry.what.value}
    json |= {name: text for name, text in written.items() if text}
    return json | ({"times": entry.times} if entry.times > 1 else {})


def _entry_from_json(json: Json) -> HistoryEntry:
    return HistoryEntry(**(json | {"at": datetime.fromisoformat(json["at"]), "what": EntryKind(json["what"])}))
