"""The outbox relay: at-least-once delivery of committed facts to the broker, each aggregate's in their order.

A fact has left the outbox when the broker has stored it. A relay that dies in between publishes it again under the same
id: the broker drops what it has seen within two minutes, the consumers' inboxes drop the rest.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from urllib.parse import quote

from prometheus_client import Counter, Gauge

from chassis.core import errors, failpoints, logs
from chassis.core.waiting import until_set
from chassis.database import Database, Row, outbox
from chassis.database.outbox import SQL
from chassis.messaging.broker import Broker, stream_of, subject_of

# At rest, a commit here wakes the relay at once; looking finds what others have committed and not told, or hold back.
IDLE_POLL_SECONDS = 0.25
# At work, facts gather between two passes: one over ten costs little more than one over a single fact.
BUSY_POLL_SECONDS = 0.05
PROBE_SECONDS = 1.0
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 2.0
PASS_SECONDS = 5.0
FACTS_PER_PARTITION = 25
ADVISORY_LOCK = 0x0B0C
KEPT = timedelta(days=7)
SWEEP_BATCH = 5_000

_UNPUBLISHED = Gauge("outbox_unpublished", "Facts that wait for the broker.")
_LAG = Gauge("outbox_lag_seconds", "Age of the oldest fact that waits for the broker.")
_PUBLISHED = Counter("relay_published", "Facts the broker has stored.", ["type"])

log = logs.logger(__name__)


class Relay:
    """Publishes what one database's outbox holds. Any number of them may work on the same outbox."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self._lag_seconds = 0.0
        self._probed_at = 0.0

    @property
    def lag_seconds(self) -> float:
        """The age of the oldest fact that waits, as it was about a second ago."""
        return self._lag_seconds

    async def run(self) -> None:
        """Publish facts when they are committed here, and soon those that others have left; for ever."""
        is_busy, delay = False, FIRST_DELAY_SECONDS
        while True:
            try:
                await self._rest(is_busy)
                is_busy = await self._step()
                delay = FIRST_DELAY_SECONDS
            except errors.TransientProblem as problem:
                log.warning("relay_waits", problem=str(problem), lag_seconds=round(self._lag_seconds, 1))
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)

    async def flush(self) -> None:
        """Publish all that is waiting now and that no other relay works on."""
        while await self._publish_batch():
            pass

    async def sweep(self) -> None:
        """Forget what was published so long ago that no replay will ask for it."""
        async with self._database.read() as database:
            while await database.execute(SQL.forget_published, age=KEPT, batch=SWEEP_BATCH) == SWEEP_BATCH:
                pass

    async def _rest(self, is_busy: bool) -> None:
        """Wait for a commit here, but not for long."""
        if is_busy:
            await asyncio.sleep(BUSY_POLL_SECONDS)
            return
        await until_set(self._database.published, IDLE_POLL_SECONDS)

    async def _step(self) -> bool:
        """Publish what there is; tell whether there was anything."""
        is_woken = self._database.published.is_set()
        self._database.published.clear()
        is_probe_due = time.monotonic() > self._probed_at + PROBE_SECONDS
        if (is_probe_due or not is_woken) and not await self._backlog():
            return False
        await self.flush()
        return True

    async def _backlog(self) -> int:
        """How many facts wait. Asked of an index that is nearly always empty."""
        async with self._database.read() as database:
            backlog = await database.one(SQL.backlog)
        self._probed_at = time.monotonic()
        self._lag_seconds = backlog["lag_seconds"]
        _LAG.set(self._lag_seconds)
        _UNPUBLISHED.set(backlog["unpublished"])
        unpublished: int = backlog["unpublished"]
        return unpublished

    async def _publish_batch(self) -> bool:
        """Publish the oldest facts of every partition nobody else has taken; tell whether there may be more."""
        partitions = {"partitions": outbox.PARTITIONS, "lock": ADVISORY_LOCK}
        async with self._database.transaction() as tx:
            taken = [row["partition"] for row in await tx.all(SQL.take_partitions, **partitions)]
            if not taken:
                return False
            facts = await tx.all(SQL.next_facts, taken=taken, batch=FACTS_PER_PARTITION)
            stored, problem = await self._store(facts)
            await failpoints.reach("relay.after_publish")
            tx.before_commit(SQL.mark_published, event_ids=stored)
        if problem is not None:
            raise problem
        return len(facts) >= FACTS_PER_PARTITION

    async def _store(self, facts: Sequence[Row]) -> tuple[list[str], BaseException | None]:
        """Publish different aggregates' facts at the same time; tell which the broker has, and the first failure."""
        by_aggregate = sorted(facts, key=itemgetter("aggregate_id", "position"))
        stored: list[str] = []
        until = time.monotonic() + PASS_SECONDS
        chains = [
            self._store_in_order(list(chain), stored, until)
            for _, chain in groupby(by_aggregate, key=itemgetter("aggregate_id"))
        ]
        outcomes = await asyncio.gather(*chains, return_exceptions=True)
        return stored, next((outcome for outcome in outcomes if outcome is not None), None)

    async def _store_in_order(self, facts: Sequence[Row], stored: list[str], until: float) -> None:
        """Publish one aggregate's facts, none before the broker has the one before; note each in `stored`."""
        for fact in facts:
            if time.monotonic() > until:
                return
            await failpoints.reach("relay.before_publish")
            await self._broker.store(subject_of(fact["type"], fact["aggregate_id"]), fact["payload"], _headers(fact))
            stored.append(fact["event_id"])
            _PUBLISHED.labels(fact["type"]).inc()


def _headers(fact: Row) -> dict[str, str]:
    """The fact's envelope: CloudEvents in binary mode."""
    headers = {
        "Nats-Msg-Id": fact["event_id"],
        "ce-specversion": "1.0",
        "ce-id": fact["event_id"],
        "ce-source": f"//tradewind.dev/{stream_of(fact['type']).lower()}",
        "ce-type": fact["type"],
        "ce-subject": quote(fact["aggregate_id"]),
        "ce-time": fact["created_at"].isoformat(),
        "content-type": "application/protobuf",
    }
    return headers | {"traceparent": fact["traceparent"]} if fact["traceparent"] else headers
