"""What happens to a fact between the broker and its effect."""

import asyncio
from collections import Counter as Count
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from prometheus_client import REGISTRY

from chassis.contract.descriptors import ContractError
from chassis.core.keyed_executor import KeyedExecutor
from chassis.database import Database, DatabaseUnavailable, Transaction
from chassis.messaging import consumer as consuming
from chassis.messaging.broker import Broker, Pull, PulledMessage, pull, subject_of
from chassis.messaging.consumer import Consumer, Fact, Subscription
from chassis.messaging.dead_letters import REDRIVEN_AT_ONCE, DeadLetters, Reason, State
from chassis.messaging.inbox import ReceivedMessage
from chassis.messaging.relay import Relay
from chassis.messaging.replay import replay
from tests.conftest import Nats, NewDatabase
from tests.integration.messaging.facts import (
    CONFIRMED,
    LISTENER,
    PLACED,
    TELLER,
    Told,
    confirmed,
    connected,
    placed,
    running,
    tell,
)
from tests.integration.messaging.listener import Listener, consumer, hearing, listening
from tests.waiting import eventually, passing
from tools.stack.addresses import HOST
from tradewind.orders.v1.order_events_pb2 import OrderPlaced

pytestmark = pytest.mark.usefixtures("telling")


@pytest.fixture
async def teller(new_database: NewDatabase) -> AsyncIterator[Database]:
    """The publishing service's database."""
    database = Database(new_database("chassis"))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def listener(new_database: NewDatabase) -> AsyncIterator[Listener]:
    """The consuming service."""
    async with listening(new_database("chassis")) as listener:
        yield listener


@pytest.fixture
async def broker_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """A NATS server for both."""
    nats = Nats(tmp_path / "nats", [TELLER, LISTENER])
    await nats.start()
    yield nats
    await nats.stop()


@pytest.fixture
async def telling(teller: Database, broker_server: Nats) -> AsyncIterator[Broker]:
    """The teller's relay, at work."""
    async with connected(broker_server, "orders") as broker, running(Relay(teller, broker).run):
        yield broker


async def test_a_fact_takes_effect_once(
    teller: Database, telling: Broker, listener: Listener, broker_server: Nats
) -> None:
    """Although it was published twice, and delivered once more because nobody acknowledged it."""
    async with hearing(listener, broker_server):
        await tell(teller, placed("order-1"))
        await eventually(listener.has_heard(1))
        async with teller.read() as reader:
            row = await reader.one("SELECT event_id::text AS id, payload FROM outbox")
        headers = {"ce-id": row["id"], "ce-type": PLACED, "ce-time": "2026-01-01T00:00:00+00:00"}
        await telling.store(subject_of(PLACED, "order-1"), row["payload"], headers)
        await tell(teller, placed("order-2"))
        await eventually(listener.has_heard(2))
    assert await listener.heard() == ["order-1/1", "order-2/1"]


async def test_an_aggregate_s_facts_are_heard_in_their_order(
    teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """However many are handled at the same time."""
    orders, versions = 12, 10
    for version in range(1, versions + 1):
        await tell(teller, *[placed(f"order-{order}", version) for order in range(orders)])
    async with hearing(listener, broker_server):
        await eventually(listener.has_heard(orders * versions))
    heard = await listener.heard()
    for order in range(orders):
        own = [key for key in heard if key.startswith(f"order-{order}/")]
        assert own == [f"order-{order}/{version}" for version in range(1, versions + 1)]


async def test_a_handler_that_fails_is_tried_again(teller: Database, listener: Listener, broker_server: Nats) -> None:
    """What it had done was undone, and the facts about other orders did not wait."""
    listener.failing["order-1/1"] = 2
    async with hearing(listener, broker_server):
        await tell(teller, placed("order-1"), placed("order-2"))
        await eventually(listener.has_heard(2))
    assert await listener.heard() == ["order-2/1", "order-1/1"]
    assert await listener.unresolved() == []


async def test_a_fact_that_keeps_failing_becomes_a_dead_letter_and_can_be_redriven(
    teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """It keeps nothing else from being heard; once its cause is mended, it takes effect after all."""
    dead_letters = listener.dead_letters
    listener.failing["order-1/1"] = 3
    async with hearing(listener, broker_server, attempts=2):
        await tell(teller, placed("order-1"), placed("order-2"))
        await eventually(listener.has_buried(1))
        [dead] = await listener.unresolved()
        assert (dead.reason, dead.error) == (Reason.FAILED, "ValueError('cannot hear')")
        await listener.redrive(dead.event_id)
        await eventually(lambda: died_again(dead_letters, dead.event_id))
        assert await listener.heard() == ["order-2/1"]
        await listener.redrive()
        await eventually(listener.has_buried(0))
    assert await listener.heard() == ["order-2/1", "order-1/1"]


async def test_bytes_that_cannot_be_read_become_a_dead_letter_at_once(
    telling: Broker, listener: Listener, broker_server: Nats
) -> None:
    """Trying again would not help."""
    headers = {"ce-id": "poison", "ce-type": PLACED, "ce-time": "2026-01-01T00:00:00+00:00"}
    async with hearing(listener, broker_server):
        await telling.store(subject_of(PLACED, "order-1"), b"\xff\xff", headers)
        await telling.store(subject_of(PLACED, "order-2"), b"", {})
        await eventually(listener.has_buried(2))
    dead = await listener.unresolved()
    assert {(each.event_id.partition("@")[0], each.reason, each.deliveries) for each in dead} == {
        ("poison", Reason.POISON, 1),
        ("ORDERS:2", Reason.POISON, 1),
    }


@pytest.mark.parametrize("failing", [1, 2])
async def test_an_early_fact_is_parked_until_its_turn(
    failing: int, teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """Where no gap is accepted, later versions wait for the one that failed."""
    listener.failing[f"order-1/{failing}"] = 2
    async with hearing(listener, broker_server, contiguous=True):
        await tell(teller, placed("order-1"), placed("order-1", 2), confirmed("order-1", 3))
        await eventually(listener.has_heard(3))
    assert await listener.heard() == ["order-1/1", "order-1/2", "order-1/3"]


async def test_without_that_promise_a_later_fact_overtakes(
    teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """One that failed keeps nothing from being heard."""
    listener.failing["order-1/1"] = 2
    async with hearing(listener, broker_server):
        await tell(teller, placed("order-1"), confirmed("order-1"))
        await eventually(listener.has_heard(2))
    assert await listener.heard() == ["order-1/2", "order-1/1"]


async def test_what_waits_behind_a_dead_letter_dies_too_and_is_redriven_in_order(
    teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """Nothing takes effect out of turn, and nothing is lost."""
    dead_letters = listener.dead_letters
    listener.failing["order-1/1"] = 2
    async with hearing(listener, broker_server, contiguous=True, attempts=1, parks=2):
        await tell(teller, placed("order-1"), confirmed("order-1"))
        await eventually(listener.has_buried(2))
        assert [dead.reason for dead in await listener.unresolved()] == [Reason.FAILED, Reason.GAP]
        await listener.redrive()
        await eventually(lambda: nothing_requested(dead_letters))
        assert await listener.heard() == []
        await listener.redrive()
        await eventually(listener.has_buried(0))
    assert await listener.heard() == ["order-1/1", "order-1/2"]


async def test_however_many_wait_behind_a_letter_that_fails_again_they_wait_on(
    listener: Listener, broker_server: Nats
) -> None:
    """More than are looked at in one go."""
    count = REDRIVEN_AT_ONCE + 5
    for version in range(1, count + 1):
        message = dead_letter("order-1", version)
        await listener.dead_letters.bury("listener", message.event_id, message, 1, Reason.GAP, "")
    listener.failing["order-1/1"] = 1
    await listener.redrive()
    async with hearing(listener, broker_server, contiguous=True):
        await eventually(lambda: nothing_requested(listener.dead_letters))

    assert await listener.heard() == []
    assert len(await listener.unresolved()) == count


async def test_a_letter_that_no_database_could_hold_is_buried_all_the_same(
    listener: Listener, broker_server: Nats
) -> None:
    """Its id holds a NUL."""
    client = await nats.connect(broker_server.admin_url)
    async with hearing(listener, broker_server):
        await client.publish(subject_of(PLACED, "order-1"), b"", headers={"ce-id": "a\0b", "ce-type": "nonsense"})
        await eventually(listener.has_buried(1))
    await client.close()

    [dead] = await listener.unresolved()
    assert (dead.event_id, dead.reason) == ("a\ufffdb", Reason.POISON)


@pytest.mark.parametrize("event_id", ["", "x" * 5_000])
async def test_a_fact_without_an_id_to_know_it_by_is_poison(
    event_id: str, telling: Broker, listener: Listener, broker_server: Nats
) -> None:
    """Taken in, it could not be told from the next one, or not be remembered; it is buried under the place where it lay."""
    headers = {"ce-id": event_id, "ce-type": PLACED, "ce-time": "2026-01-01T00:00:00+00:00"}
    async with hearing(listener, broker_server):
        await telling.store(subject_of(PLACED, "order-1"), placed("order-1").SerializeToString(), headers)
        await eventually(listener.has_buried(1))
    [dead] = await listener.unresolved()
    assert (dead.event_id.partition("@")[0], dead.reason, dead.deliveries) == ("ORDERS:1", Reason.POISON, 1)


async def test_a_letter_without_an_id_is_not_taken_for_one_that_lay_in_its_place(
    telling: Broker, listener: Listener, broker_server: Nats
) -> None:
    """A broker that has lost its disk counts from one again."""
    for count in (1, 2):
        async with hearing(listener, broker_server):
            await eventually(telling.is_connected)
            await telling.store(subject_of(PLACED, f"order-{count}"), b"", {})
            await eventually(listener.has_buried(count))
        await broker_server.stop()
        broker_server.erase()
        await broker_server.start()
    dead = await listener.unresolved()
    assert [each.message.subject for each in dead] == [subject_of(PLACED, "order-1"), subject_of(PLACED, "order-2")]


async def test_a_fact_is_what_its_subject_says(telling: Broker, listener: Listener, broker_server: Nats) -> None:
    """The broker lets each service say its own subjects only; in the envelope it could claim to be any other."""
    headers = {"ce-id": "forged", "ce-type": CONFIRMED, "ce-time": "2026-01-01T00:00:00+00:00"}
    async with hearing(listener, broker_server):
        await telling.store(subject_of(PLACED, "order-1"), confirmed("order-1").SerializeToString(), headers)
        await eventually(listener.has_buried(1))
    [dead] = await listener.unresolved()
    assert (dead.event_id, dead.reason) == ("forged", Reason.POISON)


async def test_a_fact_is_counted_as_what_its_subject_says(
    telling: Broker, listener: Listener, broker_server: Nats
) -> None:
    """Each name that somebody could think of would be a series of its own, for as long as the process lives."""

    def dead() -> float:
        return REGISTRY.get_sample_value("consumer_handled_total", {"type": PLACED, "outcome": "dead"}) or 0.0

    async def has_grown() -> bool:
        return dead() == before + 1

    before = dead()
    async with hearing(listener, broker_server):
        await telling.store(subject_of(PLACED, "order-1"), b"", {"ce-id": "odd", "ce-type": "odd"})
        await eventually(has_grown)


async def test_a_database_that_is_away_for_long_kills_no_fact(
    teller: Database, listener: Listener, broker_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the fact would have been delivered meanwhile."""
    monkeypatch.setattr(consuming, "MOST_DELIVERIES", 1)
    monkeypatch.setattr(consuming, "AWAY_SECONDS", 0.01)
    attempts = Count[str]()

    async def hear(tx: Transaction, event: Told, fact: Fact) -> None:
        attempts[fact.id] += 1
        if attempts[fact.id] < 10:
            raise DatabaseUnavailable("gone")
        await listener.hear(tx, event, fact)

    async with connected(broker_server, "listener") as broker, running(consumer(listener, broker, hear).run):
        await tell(teller, placed("order-1"), placed("order-2"))
        await eventually(listener.has_heard(2))
    assert await listener.unresolved() == []


async def test_a_letter_is_not_dead_again_because_the_database_was_away(
    listener: Listener, broker_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried until there is an answer to what was asked."""
    monkeypatch.setattr(consuming, "AWAY_SECONDS", 0.01)
    message, attempts = dead_letter("order-1", 1), Count[str]()
    await listener.dead_letters.bury("listener", message.event_id, message, 1, Reason.FAILED, "")
    await listener.redrive()

    async def hear(tx: Transaction, event: Told, fact: Fact) -> None:
        attempts[fact.id] += 1
        if attempts[fact.id] < 3:
            raise DatabaseUnavailable("gone")
        await listener.hear(tx, event, fact)

    async with connected(broker_server, "listener") as broker, running(consumer(listener, broker, hear).run):
        await eventually(lambda: nothing_requested(listener.dead_letters))
    assert await listener.heard() == ["order-1/1"]
    assert await listener.unresolved() == []


async def test_a_process_that_stops_does_not_wait_for_its_database(
    teller: Database, listener: Listener, broker_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it could not take in is for another one."""
    monkeypatch.setattr(consuming, "AWAY_SECONDS", 3600.0)
    entered = asyncio.Event()

    async def hear(_tx: Transaction, _event: Told, _fact: Fact) -> None:
        entered.set()
        raise DatabaseUnavailable("gone")

    async with connected(broker_server, "listener") as broker, running(consumer(listener, broker, hear).run):
        await tell(teller, placed("order-1"))
        await entered.wait()
    async with hearing(listener, broker_server):
        await eventually(listener.has_heard(1))


async def test_two_processes_share_the_work(teller: Database, listener: Listener, broker_server: Nats) -> None:
    """Each fact takes effect in one of them, the aggregate's order kept where that was asked for."""
    facts = [(order, version) for version in range(1, 6) for order in range(10)]
    async with hearing(listener, broker_server, contiguous=True), hearing(listener, broker_server, contiguous=True):
        await tell(teller, *[placed(f"order-{order}", version) for order, version in facts])
        await eventually(listener.has_heard(len(facts)))
    heard = await listener.heard()
    assert sorted(heard) == sorted(f"order-{order}/{version}" for order, version in facts)
    for order in range(10):
        assert [key for key in heard if key.startswith(f"order-{order}/")] == [
            f"order-{order}/{v}" for v in range(1, 6)
        ]


async def test_a_process_that_stops_hands_its_facts_back(
    teller: Database, listener: Listener, broker_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finishes the one it is at; the next process gets the others at once."""
    entered, closing, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    close = KeyedExecutor.close

    async def slowly(tx: Transaction, event: Told, fact: Fact) -> None:
        entered.set()
        await go_on.wait()
        await listener.hear(tx, event, fact)

    async def noting(executor: KeyedExecutor[PulledMessage]) -> list[PulledMessage]:
        closing.set()
        return await close(executor)

    monkeypatch.setattr(KeyedExecutor, "close", noting)
    async with connected(broker_server, "listener") as broker:
        slow = asyncio.create_task(consumer(listener, broker, slowly).run())
        await tell(teller, *[placed("order-1", version) for version in range(1, 6)])
        await entered.wait()
        await eventually(lambda: delivered(broker_server, 5))
        # As the end of a process does it: again and again, until it has let go.
        while not closing.is_set() or slow.cancelling() < 100:
            slow.cancel()
            await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await listener.heard() == ["order-1/1"]
    async with hearing(listener, broker_server):
        await eventually(listener.has_heard(5), seconds=10)
    assert sorted(await listener.heard()) == [f"order-1/{version}" for version in range(1, 6)]


async def test_a_broker_that_lost_its_disk_is_told_again(
    teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """Facts nobody has heard yet are still in the outbox; those already heard have no second effect."""
    async with hearing(listener, broker_server):
        await tell(teller, placed("order-1"))
        await eventually(listener.has_heard(1))
    await tell(teller, placed("order-2"), confirmed("order-1"))
    await eventually(lambda: published(teller, 3))
    await broker_server.stop()
    broker_server.erase()
    await broker_server.start()
    async with hearing(listener, broker_server):
        async with teller.read() as reader:
            since = (await reader.one("SELECT min(created_at) AS since FROM outbox"))["since"]
        async with teller.transaction() as tx:
            assert (await replay(tx, since, None)).count == 3
        await eventually(listener.has_heard(3))
        await tell(teller, placed("order-3"))
        await eventually(listener.has_heard(4))
    assert sorted(await listener.heard()) == ["order-1/1", "order-1/2", "order-2/1", "order-3/1"]


async def test_a_consumer_waits_for_a_broker_that_is_not_there_yet(
    teller: Database, listener: Listener, broker_server: Nats
) -> None:
    """Nor needs it be restarted when the broker is."""
    await broker_server.stop()
    broker = broker_server.connection("listener")
    broker.open()
    async with running(consumer(listener, broker, listener.hear).run):
        await broker_server.start()
        await tell(teller, placed("order-1"))
        await eventually(listener.has_heard(1))
        await broker_server.stop()
        await broker_server.start()
        await tell(teller, placed("order-2"))
        await eventually(listener.has_heard(2))
    await broker.close()


async def test_a_consumer_asks_as_soon_as_there_is_a_broker(
    teller: Database, listener: Listener, broker_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before its connection stood, as it does in every process that starts; it does not sleep over that."""
    monkeypatch.setattr(pull, "RETRY_SECONDS", 3600.0)
    broker = broker_server.connection("listener")
    async with running(consumer(listener, broker, listener.hear).run):
        await passing(turns=20)
        broker.open()
        await tell(teller, placed("order-1"))
        await eventually(listener.has_heard(1))
    await broker.close()


async def test_a_consumer_has_one_request_open_whatever_became_of_its_connection(
    telling: Broker, broker_server: Nats
) -> None:
    """The broker keeps a request whose connection was lost; its end is not the end of the one that was made since."""
    heard, asked = asyncio.Queue[PulledMessage](), asyncio.Queue[Msg]()
    admin = await nats.connect(broker_server.admin_url)

    async def note(request: Msg) -> None:
        asked.put_nowait(request)

    async def room() -> int:
        return 10

    await admin.subscribe("$JS.API.CONSUMER.MSG.NEXT.ORDERS.listener", cb=note)
    await admin.flush()
    async with cable(broker_server) as (url, cut):
        broker = Broker(url, "listener", broker_server.password("listener"))
        broker.open()
        async with running(Pull(broker, "ORDERS", room, heard.put_nowait).run):
            before = await asked.get()
            cut()
            after = await asked.get()
            await admin.publish(before.reply, headers={"Status": "408", "Description": "Request Timeout"})
            await telling.store(subject_of(PLACED, "order-1"), b"", {})
            await heard.get()
            await admin.publish(after.reply, headers={"Status": "408", "Description": "Request Timeout"})
            await asked.get()
            await telling.store(subject_of(PLACED, "order-2"), b"", {})
            await heard.get()
            assert asked.empty()
        await broker.close()
    await admin.close()


async def test_a_consumer_hears_what_its_manifest_says(listener: Listener, broker_server: Nats) -> None:
    """One that has no handler for a declared fact, or one for another, does not start."""
    broker = broker_server.connection("listener")
    with pytest.raises(ContractError, match=CONFIRMED):
        Consumer(LISTENER, listener.database, broker, [Subscription({OrderPlaced: listener.hear})])


@asynccontextmanager
async def cable(broker_server: Nats) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """The way to the broker, and what cuts every connection that goes over it; a new one may be made at once."""
    ends: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        with suppress(OSError):
            while some := await reader.read(65536):
                writer.write(some)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(HOST, int(broker_server.url.rpartition(":")[2]))
        await asyncio.gather(carry(reader, forth), carry(back, writer))

    def cut() -> None:
        for end in ends:
            end.transport.abort()
        ends.clear()

    server = await asyncio.start_server(connect, HOST, 0)
    yield f"nats://{HOST}:{server.sockets[0].getsockname()[1]}", cut
    server.close()
    await server.wait_closed()


def dead_letter(order_id: str, version: int) -> ReceivedMessage:
    """What the listener was once told of an order."""
    headers = {"ce-id": f"{order_id}-{version:04}", "ce-type": PLACED, "ce-time": "2026-01-01T00:00:00+00:00"}
    return ReceivedMessage(subject_of(PLACED, order_id), headers, placed(order_id, version).SerializeToString())


async def died_again(dead_letters: DeadLetters, event_id: str) -> bool:
    """Whether a redrive has failed."""
    return (await dead_letters.get(event_id)).state is State.UNRESOLVED


async def nothing_requested(dead_letters: DeadLetters) -> bool:
    """Whether every redrive asked for was tried."""
    _, requested = await dead_letters.counts()
    return requested == 0


async def delivered(broker_server: Nats, count: int) -> bool:
    """Whether the broker has sent the listener so much."""
    async with await nats.connect(broker_server.admin_url) as client:
        consumer = await client.jetstream().consumer_info("ORDERS", "listener")
    return consumer.delivered is not None and consumer.delivered.consumer_seq >= count


async def published(database: Database, count: int) -> bool:
    """Whether the broker has had so many facts."""
    async with database.read() as reader:
        row = await reader.one("SELECT count(published_at) AS facts FROM outbox")
    return bool(row["facts"] == count)
