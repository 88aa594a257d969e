"""Sagas as rows, under a fencing token: whoever writes with an older one than the row has writes nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from chassis.database import Command, Guard, Reader, Row, Transaction
from chassis.database.statements import Statements
from chassis.saga.encoding import from_json, to_json
from chassis.saga.errors import FenceLost, SagaNotFound, SagaUnreadable
from chassis.saga.machine import State, Status
from chassis.saga.plan import Plan

SQL = Statements("chassis.saga")
FIRST_FENCE = 1
BEFORE_ALL = "00000000-0000-0000-0000-000000000000"

Json: TypeAlias = dict[str, Any]
Plans: TypeAlias = Mapping[str, Plan]
"""The plans this program has, by the kind of saga."""


@dataclass(frozen=True)
class ClaimedSaga:
    """A saga as its new holder finds it. The data is None once the saga has ended."""

    saga_id: str
    state: State
    data: Json | None
    fence: int
    traceparent: str


@dataclass(frozen=True)
class Lease:
    """Who holds a saga, and until when. Without an owner it is up for anybody from then on."""

    owner: str | None
    until: datetime


@dataclass(frozen=True)
class SagaRecord:
    """A saga as an operator sees it."""

    saga_id: str
    kind: str
    status: Status | None
    """As its row says; None for a status this program does not know."""
    step: str
    """Empty for an unreadable one."""
    state: State | None
    """None for an unreadable one: another version of this program has written it."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Unfinished:
    """How many sagas stand somewhere short of their end, and since when the oldest."""

    status: Status
    sagas: int
    oldest: datetime


def start(tx: Transaction, plan: Plan, state: State, data: Json, lease: Lease, traceparent: str, now: datetime) -> None:
    """Insert a new saga, in the round trip of the COMMIT."""
    tx.before_commit(
        SQL.start,
        saga_id=state.seed,
        kind=plan.kind,
        status=state.status.value,
        state=_dumps(to_json(plan, state)),
        data=_dumps(data),
        owner=lease.owner,
        due_at=lease.until,
        traceparent=traceparent,
        now=now,
    )


def move(plan: Plan, state: State, fence: int, now: datetime) -> Guard:
    """What moves a saga on, if the fence still stands; FenceLost is raised if it does not."""
    goes_on = state.status in {Status.RUNNING, Status.COMPENSATING} and state.wake_at is None
    values = {"fence": fence, "goes_on": goes_on, "wake_at": state.wake_at}
    return Guard(Command(SQL.move, _moved(plan, state, now) | values), FenceLost)


async def turn(tx: Transaction, plan: Plan, state: State, lease: Lease | None, now: datetime) -> None:
    """Move a saga whose row this transaction has locked, whoever holds it."""
    owner, due_at = (lease.owner, lease.until) if lease else (None, None)
    await tx.execute(SQL.turn, **_moved(plan, state, now), owner=owner, due_at=due_at)


async def claim(reader: Reader, plan: Plan, lease: Lease, limit: int, now: datetime) -> list[Row]:
    """Take over sagas that are due and that nobody else is claiming. Each is still to be read, by `read_claimed`."""
    return await reader.all(SQL.claim, kind=plan.kind, owner=lease.owner, due_at=lease.until, limit=limit, now=now)


def read_claimed(plan: Plan, row: Row) -> ClaimedSaga:
    """A saga as its row tells it. Raises whatever a row raises that another version of this program wrote."""
    state = from_json(plan, row["saga_id"], row["state"])
    return ClaimedSaga(row["saga_id"], state, row["data"], row["fence"], row["traceparent"])


async def lock(tx: Transaction, plan: Plan, saga_id: str) -> ClaimedSaga:
    """Read a saga and let nobody move it before this transaction ends. Raises SagaNotFound, SagaUnreadable."""
    row = await tx.first(SQL.lock, saga_id=saga_id, kind=plan.kind)
    if row is None:
        raise SagaNotFound("There is no such saga.", saga_id=saga_id)
    try:
        return read_claimed(plan, row)
    except (LookupError, TypeError, ValueError):
        raise SagaUnreadable("Another version of this program has written this saga.", saga_id=saga_id) from None


async def renew(reader: Reader, saga_ids: Sequence[str], lease: Lease) -> None:
    """Hold on to these sagas."""
    await reader.execute(SQL.renew, saga_ids=list(saga_ids), owner=lease.owner, due_at=lease.until)


async def release(reader: Reader, saga_ids: Sequence[str], owner: str, due_at: datetime) -> None:
    """Let go of these sagas: anybody may claim them from then on."""
    await reader.execute(SQL.release, saga_ids=list(saga_ids), owner=owner, due_at=due_at)


async def find(reader: Reader, plans: Plans, saga_id: str) -> SagaRecord:
    """One saga, of whatever kind. Raises SagaNotFound."""
    row = await reader.first(SQL.find, saga_id=saga_id)
    if row is None:
        raise SagaNotFound("There is no such saga.", saga_id=saga_id)
    return _record(plans, row)


async def page(reader: Reader, plans: Plans, status: Status | None, after: str | None, limit: int) -> list[SagaRecord]:
    """Sagas of every kind after that one, the oldest first: their ids tell when they began."""
    bounds = {"after": after or BEFORE_ALL, "limit": limit}
    if status is None:
        return [_record(plans, row) for row in await reader.all(SQL.list_all, **bounds)]
    return [_record(plans, row) for row in await reader.all(SQL.list_by_status, **bounds, status=status.value)]


async def count_unfinished(reader: Reader, plan: Plan) -> list[Unfinished]:
    """What has not ended yet, by status."""
    rows = await reader.all(SQL.count_unfinished, kind=plan.kind)
    return [Unfinished(Status(row["status"]), row["sagas"], row["oldest"]) for row in rows]


def _moved(plan: Plan, state: State, now: datetime) -> Json:
    return {
        "saga_id": state.seed,
        "status": state.status.value,
        "state": _dumps(to_json(plan, state)),
        "is_final": state.status.is_final,
        "now": now,
    }


def _record(plans: Plans, row: Row) -> SagaRecord:
    state = _read(plans.get(row["kind"]), row)
    return SagaRecord(
        saga_id=row["saga_id"],
        kind=row["kind"],
        status=Status(row["status"]) if row["status"] in set(Status) else None,
        step=row["state"]["step"] if state else "",
        state=state,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _read(plan: Plan | None, row: Row) -> State | None:
    """The state of a row; None for one of another version of this program: a kind, a step, a field it does not know."""
    try:
        return from_json(plan, row["saga_id"], row["state"]) if plan else None
    except (LookupError, TypeError, ValueError):
        return None


def _dumps(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))
