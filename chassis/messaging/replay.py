"""Replay: tell the published facts again, when the broker has lost them.

The ids stay the same. A broker that still has a fact of the last two minutes drops the repeat, and so does every
consumer whose inbox has it, so that a replay too many changes nothing.
"""

from datetime import datetime

from chassis.database import Database
from chassis.database.outbox import SQL

BATCH = 5_000


async def replay(database: Database, since: datetime) -> int:
    """Have the relay publish every fact written since then once more; tell how many. The outbox keeps seven days."""
    replayed = 0
    async with database.read() as reader:
        began_at = (await reader.one("SELECT now() AS began_at"))["began_at"]
        while batch := await reader.execute(SQL.publish_again, since=since, began_at=began_at, batch=BATCH):
            replayed += batch
    return replayed
