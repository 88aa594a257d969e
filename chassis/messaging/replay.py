"""Replay: tell the published facts again, when the broker has lost them.

The ids stay the same. A broker that still has a fact of the last two minutes drops the repeat, and so does every
consumer whose inbox has it, so that a replay too many changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from chassis.database import Transaction
from chassis.database.outbox import SQL

MOST_AT_ONCE = 50_000
BATCH = 5_000


@dataclass(frozen=True)
class Replayed:
    """What a replay has come to."""

    count: int
    published_before: datetime
    """Facts published later were left alone: where the next replay of the same facts goes on."""
    has_more: bool
    """Whether it stopped at its limit."""


async def replay(tx: Transaction, since: datetime, published_before: datetime | None) -> Replayed:
    """Have the relay publish the facts written since then once more, the oldest first and 50,000 at most.

    Only those that were published last before `published_before`, by default before now. The outbox keeps seven days.
    """
    before = published_before or (await tx.one("SELECT now() AS now"))["now"]
    count = 0
    while count < MOST_AT_ONCE:
        marked = await tx.execute(SQL.publish_again, since=since, published_before=before, batch=BATCH)
        count += marked
        if marked < BATCH:
            return Replayed(count, before, has_more=False)
    return Replayed(count, before, has_more=True)
