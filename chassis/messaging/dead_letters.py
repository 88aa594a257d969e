"""The dead-letter queue: facts that could not take effect, kept until a person has looked at them and had them redriven."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from psycopg.types.json import Json

from chassis.database import Database, Row, storable
from chassis.database.statements import Statements
from chassis.messaging.inbox import ReceivedMessage

RESOLVED_KEPT = timedelta(days=30)
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
    redrive_requested_at: datetime | None


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

    async def unresolved(self, limit: int) -> list[DeadLetter]:
        """The letters somebody should look at, the longest dead first."""
        async with self._database.read() as database:
            return _letters(await database.all(SQL.unresolved, limit=limit))

    async def find(self, event_id: str) -> list[DeadLetter]:
        """The letters of one fact: one for each consumer it died at."""
        async with self._database.read() as database:
            return _letters(await database.all(SQL.find, event_id=event_id))

    async def request_redrive(self, event_id: str | None = None) -> int:
        """Ask the consumer to try one letter again, or all of them; tell how many."""
        async with self._database.read() as database:
            return await database.execute(SQL.request_redrive, event_id=event_id)

    async def requested(self, consumer: str) -> list[DeadLetter]:
        """The letters to try again."""
        async with self._database.read() as database:
            return _letters(await database.all(SQL.requested, consumer=consumer, limit=REDRIVEN_AT_ONCE))

    async def counts(self, event_id: str | None = None) -> tuple[int, int]:
        """How many letters, of one fact or of all, are unresolved, and how many of those are to be tried again."""
        async with self._database.read() as database:
            counts = await database.one(SQL.counts, event_id=event_id)
        return counts["unresolved"], counts["requested"]

    async def resolve(self, dead: DeadLetter) -> None:
        """It has taken effect after all."""
        async with self._database.read() as database:
            await database.execute(SQL.resolve, event_id=dead.event_id, consumer=dead.consumer)

    async def sweep(self) -> None:
        """Forget those resolved long ago."""
        async with self._database.read() as database:
            await database.execute(SQL.forget, age=RESOLVED_KEPT)


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
            redrive_requested_at=row["redrive_requested_at"],
        )
        for row in rows
    ]
