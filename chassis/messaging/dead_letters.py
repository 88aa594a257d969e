"""The dead-letter queue: facts that could not take effect, kept until a person has had them redriven or discarded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from psycopg.types.json import Json

from chassis.core import errors
from chassis.database import Database, Reader, Row, Transaction, storable
from chassis.database.statements import Statements
from chassis.messaging.inbox import ReceivedMessage

REDRIVEN_KEPT = timedelta(days=30)
DISCARDED_KEPT = timedelta(days=365)
"""A fact that was never to take effect is asked about in audits."""
REDRIVEN_AT_ONCE = 100

SQL = Statements("chassis.messaging", "sql/dead_letter.sql")


class Reason(StrEnum):
    """Why a message is dead."""

    POISON = "POISON"
    """It cannot be read."""
    FAILED = "FAILED"
    """Its handler failed as often as it may."""
    GAP = "GAP"
    """An earlier fact about the same aggregate never came."""


class State(StrEnum):
    """What has become of a dead letter."""

    UNRESOLVED = "UNRESOLVED"
    """It waits for somebody to decide."""
    REDRIVING = "REDRIVING"
    """The consumer is to try it again."""
    REDRIVEN = "REDRIVEN"
    """It has taken effect after all."""
    DISCARDED = "DISCARDED"
    """It shall never take effect, by somebody's decision."""


class DeadLetterNotFound(errors.NotFound):
    """No fact of this id has died here."""

    reason = "DEAD_LETTER_NOT_FOUND"


class DeadLetterResolved(errors.FailedPrecondition):
    """It was redriven or discarded before."""

    reason = "DEAD_LETTER_RESOLVED"


class DeadLetterRedriving(errors.FailedPrecondition):
    """It is about to be tried again: what comes of that is not known yet."""

    reason = "DEAD_LETTER_REDRIVING"


@dataclass(frozen=True)
class Position:
    """Where a page of dead letters goes on."""

    died_at: datetime = datetime(1, 1, 2, tzinfo=UTC)
    event_id: str = ""


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter and how it died."""

    event_id: str
    consumer: str
    message: ReceivedMessage
    deliveries: int
    reason: Reason
    error: str
    died_at: datetime
    state: State
    resolved_at: datetime | None
    resolved_by: str
    """The user who discarded it."""
    resolution_note: str
    """Why it was discarded."""

    @property
    def position(self) -> Position:
        """Where a page that ends with it goes on."""
        return Position(self.died_at, self.event_id)


class DeadLetters:
    """The dead letters of one service's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bury(
        self, consumer: str, event_id: str, received: ReceivedMessage, deliveries: int, reason: Reason, error: str
    ) -> None:
        """Keep a message. One that had died before has died again."""
        async with self._database.transaction() as tx:
            tx.before_commit(
                SQL.bury,
                event_id=storable(event_id),
                consumer=consumer,
                subject=received.subject,
                headers=Json({name: storable(value) for name, value in received.headers.items()}),
                payload=received.payload,
                deliveries=deliveries,
                reason=reason,
                error=storable(error),
            )

    async def page(self, state: State | None, after: Position, limit: int) -> list[DeadLetter]:
        """At most `limit` letters in that state, by default all unresolved ones, the longest dead first.

        What they say is left out.
        """
        bounds = {"after_died_at": after.died_at, "after_event_id": after.event_id, "limit": limit}
        async with self._database.read() as database:
            if state in {State.REDRIVEN, State.DISCARDED}:
                return _letters(await database.all(SQL.page_of_resolved, resolution=state, **bounds))
            is_requested = None if state is None else state is State.REDRIVING
            return _letters(await database.all(SQL.page_of_unresolved, is_requested=is_requested, **bounds))

    async def get(self, event_id: str) -> DeadLetter:
        """The letter of one fact. Raises DeadLetterNotFound."""
        async with self._database.read() as database:
            return await _get(database, event_id)

    async def redrive(self, tx: Transaction, event_id: str = "") -> int:
        """Ask the consumer to try one letter again, or every unresolved one; tell how many.

        Raises DeadLetterNotFound, DeadLetterResolved.
        """
        requested = await tx.execute(SQL.request_redrive, event_id=event_id or None)
        if event_id and not requested:
            raise _not_open(await _get(tx, event_id))
        return requested

    async def discard(self, tx: Transaction, event_id: str, user_id: str, note: str) -> DeadLetter:
        """Decide that a letter shall never take effect, not even when its fact is replayed.

        Raises DeadLetterNotFound, DeadLetterResolved, DeadLetterRedriving.
        """
        discarded = await tx.all(SQL.discard, event_id=event_id, resolved_by=user_id, note=note)
        for row in discarded:
            await tx.execute(SQL.count_as_handled, event_id=event_id, consumer=row["consumer"])
        dead = await _get(tx, event_id)
        if not discarded:
            raise _not_open(dead)
        return dead

    async def requested(self, consumer: str) -> list[DeadLetter]:
        """The letters to try again."""
        async with self._database.read() as database:
            return _letters(await database.all(SQL.requested, consumer=consumer, limit=REDRIVEN_AT_ONCE))

    async def counts(self) -> tuple[int, int]:
        """How many letters are unresolved, and how many of those are to be tried again."""
        async with self._database.read() as database:
            counts = await database.one(SQL.counts)
        return counts["unresolved"], counts["requested"]

    async def resolve(self, dead: DeadLetter) -> None:
        """It has taken effect after all."""
        async with self._database.read() as database:
            await database.execute(SQL.resolve, event_id=dead.event_id, consumer=dead.consumer)

    async def sweep(self) -> None:
        """Forget those resolved long ago."""
        async with self._database.read() as database:
            await database.execute(SQL.forget, redriven_age=REDRIVEN_KEPT, discarded_age=DISCARDED_KEPT)


async def _get(reader: Reader, event_id: str) -> DeadLetter:
    # One service is one consumer, so that a fact dies at most once in its database.
    found = _letters(await reader.all(SQL.find, event_id=event_id))
    if not found:
        raise DeadLetterNotFound("no fact of this id has died here", event_id=event_id)
    return found[0]


def _not_open(dead: DeadLetter) -> errors.Problem:
    if dead.state is State.REDRIVING:
        return DeadLetterRedriving("it is about to be tried again", event_id=dead.event_id)
    return DeadLetterResolved(f"it is {dead.state.lower()} already", event_id=dead.event_id)


def _letters(rows: Sequence[Row]) -> list[DeadLetter]:
    return [
        DeadLetter(
            event_id=row["event_id"],
            consumer=row["consumer"],
            message=ReceivedMessage(row["subject"], row["headers"], row["payload"]),
            deliveries=row["deliveries"],
            reason=Reason(row["reason"]),
            error=row["error"],
            died_at=row["died_at"],
            state=_state(row),
            resolved_at=row["resolved_at"],
            resolved_by=row["resolved_by"] or "",
            resolution_note=row["resolution_note"] or "",
        )
        for row in rows
    ]


def _state(row: Row) -> State:
    if row["resolved_at"]:
        # The version before has redriven letters without saying so.
        return State(row["resolution"] or State.REDRIVEN)
    return State.REDRIVING if row["redrive_requested_at"] else State.UNRESOLVED
