"""Lists, shows and redrives the facts that could not take effect."""

import asyncio
import json
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from chassis.database import Database
from chassis.messaging.dead_letters import DeadLetter, DeadLetters
from tools.ops.reading import as_json

MOST_LISTED = 200
PATIENCE_SECONDS = 10.0


async def list_(database: Database, console: Console) -> None:
    """A table of the letters nobody has resolved."""
    letters = await DeadLetters(database).unresolved(MOST_LISTED)
    if not letters:
        console.print("no dead letters")
        return
    event = Column("event", no_wrap=True)  # To be copied: `show` and `redrive` ask for it.
    table = Table(event, "fact", "about", "reason", "deliveries", "died", "error")
    for dead in letters:
        fact = dead.message.headers.get("ce-type", "?").rpartition(".")[2]
        about = dead.message.headers.get("ce-subject", "?")
        died = dead.died_at.isoformat(" ", "seconds")
        cells = (dead.event_id, fact, about, dead.reason, str(dead.deliveries), died, dead.error)
        table.add_row(*map(Text, cells))
    console.print(table)


def show(letters: Sequence[DeadLetter], console: Console) -> None:
    """Everything about the letters of one fact."""
    for dead in letters:
        console.print_json(json.dumps(_described(dead)))
        console.print(
            as_json(dead.message.headers.get("ce-type", ""), dead.message.payload), highlight=True, markup=False
        )


async def redrive(database: Database, event_id: str | None, console: Console) -> bool:
    """Have the consumer try one dead letter, or all, again, and wait for it; tell whether all took effect."""
    letters = DeadLetters(database)
    asked = await letters.request_redrive(event_id)
    if not asked:
        console.print("nothing to redrive")
        return event_id is None
    unresolved, waiting = await letters.counts(event_id)
    until = time.monotonic() + PATIENCE_SECONDS
    while waiting and time.monotonic() < until:
        await asyncio.sleep(0.2)
        unresolved, waiting = await letters.counts(event_id)
    if waiting:
        console.print(f"{waiting} of {asked} still wait to be tried: is the service running?")
    else:
        console.print(f"{asked} tried again; {unresolved} unresolved")
    return not unresolved


def _described(dead: DeadLetter) -> dict[str, object]:
    return {
        "event_id": dead.event_id,
        "consumer": dead.consumer,
        "reason": dead.reason,
        "error": dead.error,
        "deliveries": dead.deliveries,
        "died_at": dead.died_at.isoformat(),
        "subject": dead.message.subject,
        "headers": dict(dead.message.headers),
    }
