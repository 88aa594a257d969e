"""What a service may rely on when a driver sees its sagas through, on a real database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.core import errors, failpoints, ids
from chassis.core.clock import Clock, SystemClock
from chassis.database import Database, Transaction, in_transaction
from chassis.saga import store
from chassis.saga.definition import Action, Definition, Step
from chassis.saga.driver import Driver, Limits
from chassis.saga.errors import CancelTooLate, SagaNotFound
from chassis.saga.events import CancelAsked, RetryAsked
from chassis.saga.machine import Status, Transition
from chassis.saga.plan import Backoff, Plan
from chassis.saga.story import sentence
from tests.conftest import NewDatabase

SOON = Backoff(first=timedelta(milliseconds=1), cap=timedelta(milliseconds=2))
QUICK = Limits(poll_seconds=0.01, lease_seconds=60, drain_seconds=5)

Answer = Callable[[], Awaitable[None]]


class FrozenClock:
    """The clock of a process that was stopped: its time stands still and its chores never come round again."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """Always the same instant."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Never returns."""
        await asyncio.Event().wait()


class Gate:
    """An answer that a test holds back."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self) -> None:
        """Waits until the test opens it."""
        self.reached.set()
        await self.opened.wait()


async def unavailable() -> None:
    """An answer that never comes."""
    raise errors.Unavailable("nobody there")


async def refusal() -> None:
    """A final no."""
    raise errors.FailedPrecondition("no", reason="DECLINED")


async def crash() -> None:
    """A bug in the step itself."""
    raise LookupError("a bug")


@dataclass
class Peers:
    """Everybody the saga calls: answers as told, once each, and remembers the calls."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=dict)

    def action(self, name: str) -> Action[str]:
        """A step or an undo that does as the next answer says, or succeeds."""

        async def act(_: str, request_id: str) -> None:
            assert not in_transaction()
            self.calls.append((name, request_id))
            if answers := self.answers.get(name):
                await answers.pop(0)()

        return act

    def names(self) -> list[str]:
        """What was called, in order."""
        return [name for name, _ in self.calls]


class Ledger:
    """What the moves of the sagas meant to their service."""

    def __init__(self) -> None:
        self.rests: dict[str, asyncio.Event] = {}
        self.on_failure = asyncio.Event()

    async def record(self, tx: Transaction, name: str, transition: Transition) -> None:
        """Keep the news in the transaction of the move."""
        for entry in transition.news:
            await tx.execute("INSERT INTO news VALUES (%(name)s, %(news)s)", name=name, news=sentence(entry))
        if transition.state.status not in {Status.RUNNING, Status.COMPENSATING}:
            tx.on_commit(self.rest(name).set)
        if transition.state.failures:
            tx.on_commit(self.on_failure.set)

    def rest(self, name: str) -> asyncio.Event:
        """Set when the saga has nothing more to do by itself."""
        return self.rests.setdefault(name, asyncio.Event())


@dataclass
class Shop:
    """A service with a saga of three steps."""

    database: Database
    peers: Peers
    ledger: Ledger

    def driver(self, clock: Clock | None = None, limits: Limits = QUICK) -> Driver[str]:
        """Another process of the service."""
        step, peers = Step[str], self.peers
        steps = (
            step("reserve", peers.action("reserve"), peers.action("release")),
            step("pay", peers.action("pay"), peers.action("refund"), is_pivot=True),
            step("ship", peers.action("ship")),
        )
        definition = Definition(
            "test",
            steps,
            self.ledger.record,
            to_json=lambda name: {"name": name},
            from_json=lambda json: json["name"],
            patience=3,
            backoff=SOON,
        )
        return Driver(self.database, clock or SystemClock(), definition, limits)

    async def start(self, driver: Driver[str], name: str) -> str:
        """Begins a saga and says its id."""
        saga_id = ids.uuid7()
        async with self.database.transaction() as tx:
            driver.start(tx, saga_id, name)
        return saga_id

    async def news(self, name: str) -> list[str]:
        """What was recorded of a saga."""
        async with self.database.read() as reader:
            return [row["news"] for row in await reader.all("SELECT news FROM news WHERE name = %(name)s", name=name)]

    async def status(self, saga_id: str) -> Status:
        """Where a saga stands."""
        async with self.database.read() as reader:
            return (await store.find(reader, plans(self.driver()), saga_id)).status


def plans(driver: Driver[Any]) -> dict[str, Plan]:
    """What an operator's view knows of sagas: this driver's kind."""
    return {driver.plan.kind: driver.plan}


@pytest.fixture
async def shop(new_database: NewDatabase) -> AsyncIterator[Shop]:
    """A service that has not begun to drive anything."""
    database = Database(new_database("chassis"))
    await database.open()
    async with database.read() as reader:
        await reader.execute("CREATE TABLE news (name text NOT NULL, news text NOT NULL)")
    yield Shop(database, Peers(), Ledger())
    await database.close()


@asynccontextmanager
async def driving(driver: Driver[str]) -> AsyncIterator[None]:
    """The driver at work, and drained at the end."""
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def rested(shop: Shop, name: str) -> None:
    """Waits until the saga has nothing more to do by itself."""
    async with asyncio.timeout(10):
        await shop.ledger.rest(name).wait()


async def test_a_saga_sets_out_when_its_transaction_commits_and_goes_to_its_end(shop: Shop) -> None:
    """Every move is recorded once, in order, and the data is forgotten at the end."""
    driver = shop.driver()
    async with driving(driver):
        saga_id = await shop.start(driver, "one")
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "pay", "ship"]
    assert await shop.news("one") == ["reserve: done", "pay: done", "ship: done", "completed"]
    async with shop.database.read() as reader:
        row = await reader.one("SELECT data, owner, due_at, status FROM saga WHERE saga_id = %(id)s", id=saga_id)
    assert row == {"data": None, "owner": None, "due_at": None, "status": "COMPLETED"}


async def test_a_saga_whose_transaction_fails_never_was(shop: Shop) -> None:
    """No row, no call."""
    driver = shop.driver()
    async with driving(driver):
        with pytest.raises(RuntimeError, match="changed my mind"):
            async with shop.database.transaction() as tx:
                driver.start(tx, ids.uuid7(), "never")
                raise RuntimeError("changed my mind")
        await shop.start(driver, "next")
        await rested(shop, "next")

    async with shop.database.read() as reader:
        assert (await reader.one("SELECT count(*) AS sagas FROM saga"))["sagas"] == 1


async def test_a_refusal_undoes_what_was_done(shop: Shop) -> None:
    """The refused step itself is not undone."""
    shop.peers.answers["pay"] = [refusal]
    driver = shop.driver()
    async with driving(driver):
        await shop.start(driver, "one")
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "pay", "release"]
    assert (await shop.news("one"))[-1] == "compensated: nothing of it remains"


async def test_a_failed_step_is_called_again_under_the_same_request_id(shop: Shop) -> None:
    """So that the callee can tell a repetition from a new request."""
    shop.peers.answers["pay"] = [unavailable, unavailable]
    driver = shop.driver()
    async with driving(driver):
        await shop.start(driver, "one")
        await rested(shop, "one")

    payments = [request_id for name, request_id in shop.peers.calls if name == "pay"]
    assert len(payments) == 3
    assert len(set(payments)) == 1
    assert shop.peers.names()[-1] == "ship"


async def test_a_step_that_never_answers_is_undone_with_the_rest(shop: Shop) -> None:
    """Patience ends, the outcome is unknown, so its undo is called too."""
    shop.peers.answers["pay"] = [unavailable] * 3
    driver = shop.driver()
    async with driving(driver):
        await shop.start(driver, "one")
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "pay", "pay", "pay", "refund", "release"]


async def test_a_saga_begun_where_no_driver_runs_is_claimed_by_one_that_does(shop: Shop) -> None:
    """A process that is ending hands over what it still accepts."""
    await shop.start(shop.driver(), "orphan")
    async with driving(shop.driver()):
        await rested(shop, "orphan")

    assert shop.peers.names() == ["reserve", "pay", "ship"]


async def test_a_dead_process_is_succeeded_when_its_lease_ends(shop: Shop) -> None:
    """The step at hand is called again under its request id; the sleeper, waking, changes nothing."""
    asleep, under_way = Gate(), Gate()
    shop.peers.answers = {"pay": [asleep], "ship": [under_way]}
    sleeper = shop.driver(FrozenClock(datetime.now(UTC) - timedelta(hours=1)))
    async with AsyncExitStack() as successor:
        async with driving(sleeper):
            await shop.start(sleeper, "one")
            await asleep.reached.wait()
            await successor.enter_async_context(driving(shop.driver()))
            await under_way.reached.wait()
            asleep.opened.set()
        under_way.opened.set()
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "pay", "pay", "ship"]
    assert len(set(shop.peers.calls)) == 3
    assert await shop.news("one") == ["reserve: done", "pay: done", "ship: done", "completed"]


async def test_a_long_step_keeps_its_lease(shop: Shop) -> None:
    """Nobody else claims a saga whose driver is alive, however long its step takes."""
    gate = Gate()
    shop.peers.answers["pay"] = [gate]
    slow = shop.driver(limits=Limits(poll_seconds=0.01, lease_seconds=0.2))
    async with driving(slow), driving(shop.driver()):
        saga_id = await shop.start(slow, "one")
        await gate.reached.wait()
        await _renewed(shop, saga_id, times=3)
        gate.opened.set()
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "pay", "ship"]


async def _renewed(shop: Shop, saga_id: str, times: int) -> None:
    seen: set[datetime] = set()
    async with asyncio.timeout(10), shop.database.read() as reader:
        while len(seen) <= times:
            row = await reader.one("SELECT due_at FROM saga WHERE saga_id = %(id)s", id=saga_id)
            seen.add(row["due_at"])


async def test_a_drained_process_ends_its_step_and_hands_over_at_once(shop: Shop) -> None:
    """The step under way is recorded; the next one is another process's, long before the lease would end."""
    gate = Gate()
    shop.peers.answers["reserve"] = [gate]
    first = shop.driver()
    async with driving(shop.driver()):
        task = asyncio.create_task(first.run())
        await asyncio.sleep(0)
        await shop.start(first, "one")
        await gate.reached.wait()
        task.cancel()
        gate.opened.set()
        await asyncio.gather(task, return_exceptions=True)
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "pay", "ship"]


async def test_a_saga_that_sets_out_when_its_process_has_ended_is_another_processs(shop: Shop) -> None:
    """Its transaction began in time and was committed too late: nobody keeps the lease of what nobody drives."""
    ending = shop.driver()
    async with driving(shop.driver()):
        async with shop.database.transaction() as tx, driving(ending):
            ending.start(tx, ids.uuid7(), "late")
        await rested(shop, "late")

    assert shop.peers.names() == ["reserve", "pay", "ship"]


async def test_a_wish_granted_where_no_driver_runs_is_carried_out_by_one_that_does(shop: Shop) -> None:
    """Whoever grants it need not be the one who drives it."""
    shop.peers.answers["ship"] = [refusal]
    async with driving(shop.driver()):
        saga_id = await shop.start(shop.driver(), "one")
        await rested(shop, "one")
        shop.ledger.rest("one").clear()
        async with shop.database.transaction() as tx:
            await shop.driver().grant(tx, saga_id, RetryAsked(datetime.now(UTC), "staff", "mended"))
        await rested(shop, "one")

    assert await shop.status(saga_id) is Status.COMPLETED


async def test_a_saga_that_a_newer_process_has_written_keeps_no_other_from_its_end(shop: Shop) -> None:
    """It stands at a step this process does not know: it is offered again, to one that does."""
    newer, good = await shop.start(shop.driver(), "newer"), await shop.start(shop.driver(), "good")
    renamed = "UPDATE saga SET state = jsonb_set(state, '{step}', %(step)s::jsonb) WHERE saga_id = %(saga_id)s"
    async with shop.database.read() as reader:
        await reader.execute(renamed, step='"gift_wrap"', saga_id=newer)
    async with driving(shop.driver()):
        await rested(shop, "good")
        async with asyncio.timeout(10), shop.database.read() as reader:
            while (await reader.one("SELECT owner FROM saga WHERE saga_id = %(id)s", id=newer))["owner"]:
                pass

    assert await shop.status(good) is Status.COMPLETED


async def test_whatever_a_refusal_says_can_be_recorded(shop: Shop) -> None:
    """PostgreSQL stores no NUL; the saga is undone all the same."""

    async def garbled() -> None:
        raise errors.FailedPrecondition("no \0 such thing", reason="DECLINED")

    shop.peers.answers["pay"] = [garbled]
    driver = shop.driver()
    async with driving(driver):
        saga_id = await shop.start(driver, "one")
        await rested(shop, "one")

    assert await shop.status(saga_id) is Status.COMPENSATED


async def test_a_wish_takes_the_saga_from_whoever_drives_it(shop: Shop) -> None:
    """A cancellation need not wait for the step at hand: that is undone, and its late answer changes nothing."""
    gate = Gate()
    shop.peers.answers["reserve"] = [gate]
    driver = shop.driver()
    async with driving(driver):
        saga_id = await shop.start(driver, "one")
        await gate.reached.wait()
        async with shop.database.transaction() as tx:
            await driver.grant(tx, saga_id, CancelAsked(datetime.now(UTC), "customer", "enough"))
        await rested(shop, "one")
        gate.opened.set()

    assert shop.peers.names() == ["reserve", "release"]
    assert await shop.status(saga_id) is Status.COMPENSATED


async def test_a_stuck_saga_is_retried_under_a_new_request_id(shop: Shop) -> None:
    """The callee keeps its refusal under the old one."""
    shop.peers.answers["ship"] = [refusal]
    driver = shop.driver()
    async with driving(driver):
        saga_id = await shop.start(driver, "one")
        await rested(shop, "one")
        assert await shop.status(saga_id) is Status.NEEDS_OPERATOR
        shop.ledger.rest("one").clear()
        async with shop.database.transaction() as tx:
            await driver.grant(tx, saga_id, RetryAsked(datetime.now(UTC), "staff", "mended"))
        await rested(shop, "one")

    shipments = [request_id for name, request_id in shop.peers.calls if name == "ship"]
    assert len(set(shipments)) == 2
    assert await shop.status(saga_id) is Status.COMPLETED


async def test_a_wish_that_cannot_be_granted_changes_nothing(shop: Shop) -> None:
    """The reason is raised, to be told to whoever wished."""
    driver = shop.driver()
    async with driving(driver):
        saga_id = await shop.start(driver, "one")
        await rested(shop, "one")
        for wished, reason in ((saga_id, CancelTooLate), (ids.uuid7(), SagaNotFound)):
            with pytest.raises(reason):
                async with shop.database.transaction() as tx:
                    await driver.grant(tx, wished, CancelAsked(datetime.now(UTC), "customer", "enough"))

    assert await shop.status(saga_id) is Status.COMPLETED


async def test_a_bug_in_a_step_does_not_end_the_driver(shop: Shop) -> None:
    """The saga is offered again a little later; the others are not disturbed."""
    shop.peers.answers["reserve"] = [crash]
    driver = shop.driver()
    async with driving(driver):
        await shop.start(driver, "one")
        await rested(shop, "one")

    assert shop.peers.names() == ["reserve", "reserve", "pay", "ship"]


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("step", ["reserve", "pay", "ship"])
async def test_a_fault_at_any_edge_of_a_step_only_repeats_it(shop: Shop, step: str, edge: str) -> None:
    """Before the call or after it: the saga goes on from what was last written."""
    waited = asyncio.Event()
    shop.ledger.on_failure = waited
    driver = shop.driver()
    failpoints.arm(f"test.{step}.{edge}=error")
    try:
        async with driving(driver):
            await shop.start(driver, "one")
            await waited.wait()
            failpoints.arm("")
            await rested(shop, "one")
    finally:
        failpoints.arm("")

    done = [news for news in await shop.news("one") if "no certain answer" not in news]
    assert done == ["reserve: done", "pay: done", "ship: done", "completed"]


async def test_more_sagas_than_one_process_takes_on_all_end(shop: Shop) -> None:
    """What finds no room is claimed when there is some."""
    driver = shop.driver(limits=Limits(concurrency=3, poll_seconds=0.01))
    async with driving(driver):
        for number in range(20):
            await shop.start(driver, str(number))
        for number in range(20):
            await rested(shop, str(number))

    assert sorted(shop.peers.names()) == sorted(["reserve", "pay", "ship"] * 20)


async def test_two_drivers_at_once_do_every_step_once(shop: Shop) -> None:
    """Who claims a saga has it alone."""
    seed = shop.driver()
    for number in range(50):
        await shop.start(seed, str(number))
    async with driving(shop.driver()), driving(shop.driver()):
        for number in range(50):
            await rested(shop, str(number))

    assert sorted(shop.peers.names()) == sorted(["reserve", "pay", "ship"] * 50)


async def test_sagas_are_listed_the_oldest_first_and_explained_in_words(shop: Shop) -> None:
    """What an operator sees."""
    shop.peers.answers["ship"] = [refusal]
    driver = shop.driver()
    async with driving(driver):
        saga_ids = [await shop.start(driver, name) for name in ("one", "two")]
        await rested(shop, "one")
        await rested(shop, "two")
    async with shop.database.read() as reader:
        everything = await store.page(reader, plans(driver), None, None, 10)
        after_first = await store.page(reader, plans(driver), None, saga_ids[0], 10)
        stuck = await store.page(reader, plans(driver), Status.NEEDS_OPERATOR, None, 10)

    assert [account.saga_id for account in everything] == saga_ids
    assert [account.saga_id for account in after_first] == saga_ids[1:]
    assert len(stuck) == 1
    assert stuck[0].state is not None
    assert sentence(stuck[0].state.history[-1]) == "ship: refused (DECLINED: no)"
