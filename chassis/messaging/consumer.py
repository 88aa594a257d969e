"""The consumer: fetches facts, lets each take effect, and decides what becomes of those that cannot.

A fact is acknowledged after its effect was committed; the inbox makes a second delivery harmless. One whose handler
fails comes again, later each time, and becomes a dead letter in the end. Facts about one aggregate are handled in the
order in which they come. While one that failed waits, later ones may overtake it, unless their subscription is
`contiguous`: those are parked behind it, and become dead letters too when what they wait for does not come. A database
that is away costs no attempt: what was delivered waits here for it.
"""

import asyncio
from collections import Counter as Count
from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from chassis.contract.descriptors import ContractError
from chassis.contract.manifest import Manifest
from chassis.core import deadline, failpoints, logs
from chassis.core.background import uninterrupted
from chassis.core.keyed_executor import KeyedExecutor
from chassis.core.waiting import until_set
from chassis.database import Database, DatabaseUnavailable
from chassis.messaging.broker import Broker, Pull, PulledMessage, stream_of, type_said_on
from chassis.messaging.dead_letters import DeadLetter, DeadLetters, Reason
from chassis.messaging.inbox import Fact, Gap, Handler, Inbox, Poison, ReceivedMessage, Subscription

__all__ = ["Consumer", "Fact", "Handler", "Subscription"]

CONCURRENCY = 8
MOST_FETCHED = 64
# Less than the broker waits for an acknowledgement.
HANDLING_SECONDS = 25.0
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 30.0
LONGEST_PARK_SECONDS = 5.0
AWAY_SECONDS = 1.0
# Nothing is delivered that often but what kills the process that handles it.
MOST_DELIVERIES = 200
MOST_COUNTED = 10_000
REDRIVE_SECONDS = 1.0

_HANDLED = Counter("consumer_handled", "Facts delivered, by what became of them.", ["type", "outcome"])
_DEAD = Gauge("dead_letters", "Facts that could not take effect and wait for a person.")

log = logs.logger(__name__)


class Consumer:
    """Hears for one service what its manifest says that it hears."""

    def __init__(
        self, manifest: Manifest, database: Database, broker: Broker, subscriptions: Iterable[Subscription]
    ) -> None:
        self._name = manifest.name
        self._broker = broker
        self._inbox = Inbox(manifest.name, database, subscriptions)
        self._dead_letters = DeadLetters(database)
        self._failures: Count[str] = Count()
        self._stopping = asyncio.Event()
        if self._inbox.types != manifest.consumes:
            differing = ", ".join(sorted(self._inbox.types ^ manifest.consumes))
            raise ContractError(f"{self._name}: service.yaml and its subscriptions differ about {differing}")

    async def run(self) -> None:
        """Hear and redrive until cancelled; then finish what was begun, and hand back the rest."""
        if not self._inbox.types:
            return
        self._stopping.clear()
        executor = KeyedExecutor(CONCURRENCY, self._consume)

        def deliver(pulled: PulledMessage) -> None:
            executor.put(_aggregate(pulled.subject), pulled)

        streams = sorted({stream_of(event_type) for event_type in self._inbox.types})
        pulls = [Pull(self._broker, stream, lambda: executor.room(MOST_FETCHED), deliver) for stream in streams]
        try:
            async with asyncio.TaskGroup() as group:
                for work in [*(pull.run for pull in pulls), self._redrive_for_ever]:
                    group.create_task(work())
        finally:
            self._stopping.set()
            await uninterrupted(_return_unstarted(executor))

    async def sweep(self) -> None:
        """Forget what no broker and no person will ask for again."""
        await self._inbox.sweep()
        await self._dead_letters.sweep()

    async def _consume(self, pulled: PulledMessage) -> None:
        received = ReceivedMessage(pulled.subject, pulled.headers, pulled.payload)
        try:
            outcome = await self._outcome(received, pulled)
        except Exception:  # an outermost loop: it logs and goes on
            log.exception("fact_unsettled", event_id=received.event_id)
            await pulled.retry(LONGEST_DELAY_SECONDS)
            outcome = "unsettled"
        _HANDLED.labels(type_said_on(received.subject), outcome).inc()

    async def _outcome(self, received: ReceivedMessage, pulled: PulledMessage) -> str:
        if pulled.count > MOST_DELIVERIES:
            return await self._dead_letter(received, pulled, Reason.FAILED, "its handling never came to an end")
        try:
            is_new = await self._receive(received)
        except DatabaseUnavailable:
            await pulled.retry(0)
            return "postponed"
        except Poison as error:
            return await self._dead_letter(received, pulled, Reason.POISON, str(error))
        except Gap as error:
            return await self._park(received, pulled, error)
        except Exception as error:  # noqa: BLE001 — whatever a handler raises is counted and kept
            return await self._fail(received, pulled, error)
        await failpoints.reach("consumer.commit_to_ack")
        await pulled.ack()
        self._failures.pop(received.event_id, None)
        return "handled" if is_new else "duplicate"

    async def _receive(self, received: ReceivedMessage, *, accept_gap: bool = False) -> bool:
        """Let it take effect. While the database is away it is kept: the broker would count how often it comes again."""
        while True:
            try:
                async with deadline.timeout(HANDLING_SECONDS):
                    return await self._inbox.receive(received, accept_gap=accept_gap)
            except DatabaseUnavailable:
                if self._stopping.is_set():
                    raise
            await until_set(self._stopping, AWAY_SECONDS)

    async def _park(self, received: ReceivedMessage, pulled: PulledMessage, gap: Gap) -> str:
        if pulled.count >= self._inbox.subscription(received).parks:
            return await self._dead_letter(received, pulled, Reason.GAP, str(gap))
        await pulled.retry(min(_delay(pulled.count), LONGEST_PARK_SECONDS))
        return "parked"

    async def _fail(self, received: ReceivedMessage, pulled: PulledMessage, error: Exception) -> str:
        # Counted here, since the broker counts parking too. To forget a count only means to try more often.
        if len(self._failures) > MOST_COUNTED:
            self._failures.clear()
        self._failures[received.event_id] += 1
        failures = self._failures[received.event_id]
        log.warning("fact_failed", event_id=received.event_id, failures=failures, exc_info=error)
        if failures >= self._inbox.subscription(received).attempts:
            return await self._dead_letter(received, pulled, Reason.FAILED, repr(error))
        await pulled.retry(_delay(failures))
        return "failed"

    async def _dead_letter(self, received: ReceivedMessage, pulled: PulledMessage, reason: Reason, error: str) -> str:
        """Write the dead letter, and only then tell the broker to forget the fact."""
        event_id = received.event_id or pulled.position
        await self._dead_letters.bury(self._name, event_id, received, pulled.count, reason, error)
        await pulled.drop()
        self._failures.pop(received.event_id, None)
        log.error("dead_letter", event_id=event_id, reason=reason, error=error)
        return "dead"

    async def _redrive_for_ever(self) -> None:
        while True:
            try:
                unresolved, requested = await self._dead_letters.counts()
                _DEAD.set(unresolved)
                if requested:
                    await self._redrive()
            except Exception as error:  # an outermost loop: it logs and goes on
                log.warning("redrive_failed", exc_info=error)
            await asyncio.sleep(REDRIVE_SECONDS)

    async def _redrive(self) -> None:
        """Try the requested letters again; none that stands behind one of the same aggregate that fails again."""
        stuck: set[str] = set()
        while requested := await self._dead_letters.requested(self._name):
            for dead in requested:
                aggregate = _aggregate(dead.message.subject)
                if aggregate in stuck:
                    await self._dead_letter_again(dead, "an earlier fact about the same aggregate failed again")
                elif not await self._try_again(dead):
                    stuck.add(aggregate)

    async def _try_again(self, dead: DeadLetter) -> bool:
        try:
            await self._receive(dead.message, accept_gap=True)
        except Exception as error:  # noqa: BLE001 — as above
            await self._dead_letter_again(dead, repr(error))
            return False
        await self._dead_letters.resolve(dead)
        log.info("redriven", event_id=dead.event_id)
        return True

    async def _dead_letter_again(self, dead: DeadLetter, error: str) -> None:
        await self._dead_letters.bury(self._name, dead.event_id, dead.message, dead.deliveries + 1, dead.reason, error)


async def _return_unstarted(executor: KeyedExecutor[PulledMessage]) -> None:
    for pulled in await executor.close():
        await pulled.retry(0)


def _aggregate(subject: str) -> str:
    """The last word of a subject is the aggregate's id."""
    return subject.rpartition(".")[2]


def _delay(times: int) -> float:
    """Seconds to wait after so many times."""
    return min(FIRST_DELAY_SECONDS * 2.0 ** (times - 1), LONGEST_DELAY_SECONDS)
