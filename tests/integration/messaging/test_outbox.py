"""What happens to a fact between the commit and the broker's disk."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import nats
import pytest

from chassis.database import Database, outbox
from chassis.messaging.broker import Broker, BrokerUnavailable, connection, subject_of
from chassis.messaging.relay import Relay
from tests.conftest import Nats, NewDatabase
from tests.integration.messaging.facts import (
    CONFIRMED,
    LISTENER,
    PLACED,
    TELLER,
    confirmed,
    connected,
    placed,
    running,
    stored,
    tell,
    unpublished,
)
from tests.waiting import eventually
from tools.stack.addresses import HOST
from tradewind.orders.v1.order_events_pb2 import OrderPlaced
from tradewind.orders.v1.order_pb2 import OrderLine


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """Where the teller's database is."""
    return new_database("chassis")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The teller's database."""
    database = Database(url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def broker_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """A NATS server with the teller's stream."""
    nats = Nats(tmp_path / "nats", [TELLER, LISTENER])
    await nats.start()
    yield nats
    await nats.stop()


async def test_a_committed_fact_reaches_the_broker_in_its_envelope(database: Database, broker_server: Nats) -> None:
    """Its subject names the aggregate, its headers follow CloudEvents, and its id is the outbox row's."""
    async with connected(broker_server, "orders") as broker:
        await tell(database, placed("order-1"))
        await Relay(database, broker).flush()
    [message] = await stored(broker_server)
    async with database.read() as reader:
        row = await reader.one("SELECT event_id::text, published_at FROM outbox")
    assert message.subject == "tradewind.orders.v1.OrderPlaced.order-1"
    assert OrderPlaced.FromString(message.payload) == placed("order-1")
    assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"] == row["event_id"]
    assert message.headers["ce-type"] == PLACED
    assert message.headers["ce-subject"] == "order-1"
    assert message.headers["content-type"] == "application/protobuf"
    assert row["published_at"] is not None


async def test_a_fact_that_was_not_committed_is_never_told(database: Database, broker_server: Nats) -> None:
    """The outbox row is undone with the state."""
    with pytest.raises(ValueError, match="no"):
        async with database.transaction() as tx:
            tx.publish(placed("order-1"))
            raise ValueError("no")
    async with connected(broker_server, "orders") as broker:
        await Relay(database, broker).flush()
    assert await stored(broker_server) == []


async def test_a_fact_too_large_for_the_broker_is_not_committed(database: Database) -> None:
    """It would wait for ever, and with it all that is told of its aggregate later."""
    with pytest.raises(ValueError, match="too large"):
        await tell(database, OrderPlaced(order_id="order-1", aggregate_version=1, customer_id="x" * 300_000))
    assert await unpublished(database) == 0


async def test_a_commit_wakes_the_relay(url: str, database: Database, broker_server: Nats) -> None:
    """A fact committed in this process waits for no poll; one committed by another is found soon."""
    elsewhere = Database(url)
    await elsewhere.open()
    async with connected(broker_server, "orders") as broker, running(Relay(database, broker).run):
        await tell(database, placed("order-1"))
        await tell(elsewhere, placed("order-2"))
        await eventually(lambda: all_published(database))
    await elsewhere.close()
    assert len(await stored(broker_server)) == 2


async def test_concurrent_commits_lose_nothing(database: Database, broker_server: Nats) -> None:
    """Rows become visible out of the order of their positions; a relay that kept a cursor would pass some by."""
    writers, orders, randomness = 9, 40, random.Random(7)

    async def commit(writer: int) -> None:
        for order in range(orders):
            async with database.transaction() as tx:
                told = outbox.insertion([placed(f"order-{writer}-{order}")])
                await tx.execute(told.statement, **told.values)
                await tx.execute("SELECT pg_sleep(%(seconds)s)", seconds=randomness.uniform(0, 0.02))

    async with connected(broker_server, "orders") as broker, running(Relay(database, broker).run):
        await asyncio.gather(*[commit(writer) for writer in range(writers)])
        await eventually(lambda: all_published(database))
    subjects = {message.subject for message in await stored(broker_server)}
    assert len(subjects) == writers * orders


async def test_two_relays_keep_the_order_of_each_aggregate(database: Database, broker_server: Nats) -> None:
    """They share the work: of one order, never are two facts on their way at the same time, and none goes twice."""
    orders, versions, watch = 20, 15, Watch()

    async def live(order_id: str) -> None:
        for version in range(1, versions + 1):
            await tell(database, placed(order_id, version))

    await tell(database, *[placed(f"early-{order}", version) for version in (1, 2, 3) for order in range(orders)])
    async with connected(broker_server, "orders") as one, connected(broker_server, "orders") as other:
        watch.over(one)
        watch.over(other)
        async with running(Relay(database, one).run, Relay(database, other).run):
            await asyncio.gather(*[live(f"order-{order}") for order in range(orders)])
            await eventually(lambda: all_published(database))
    told = defaultdict(list)
    for message in await stored(broker_server):
        fact = OrderPlaced.FromString(message.payload)
        told[fact.order_id].append(fact.aggregate_version)
    assert told == {
        **{f"early-{order}": [1, 2, 3] for order in range(orders)},
        **{f"order-{order}": list(range(1, versions + 1)) for order in range(orders)},
    }
    assert (watch.overtakings, watch.sent) == (0, orders * (versions + 3))


class Watch:
    """Looks on while relays speak to the broker."""

    def __init__(self) -> None:
        self.sent = 0
        self.overtakings = 0
        self._on_their_way: set[str] = set()

    def over(self, broker: Broker) -> None:
        """Have everything this connection stores pass by."""
        store = broker.store

        async def watched(subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
            self.sent += 1
            self.overtakings += headers["ce-subject"] in self._on_their_way
            self._on_their_way.add(headers["ce-subject"])
            await store(subject, payload, headers)
            self._on_their_way.discard(headers["ce-subject"])

        broker.store = watched  # type: ignore[method-assign]  # a watch is no part of a connection


async def test_facts_wait_while_the_broker_is_away(database: Database, broker_server: Nats) -> None:
    """Commits go on; when it is back, the facts are told without anybody's help."""
    async with connected(broker_server, "orders") as broker:
        relay = Relay(database, broker)
        async with running(relay.run):
            await broker_server.stop()
            await tell(database, placed("order-1"), confirmed("order-1"))
            await eventually(lambda: is_late(relay))
            assert await unpublished(database) == 2
            await broker_server.start()
            await eventually(lambda: all_published(database))
    assert [message.headers["ce-type"] for message in await stored(broker_server)] == [PLACED, CONFIRMED]


async def test_a_broker_that_is_back_is_told_though_the_way_it_was_reached_by_is_dead(
    database: Database, broker_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its machine vanishes: nobody says that the connection has ended, and what was on its way stays there."""
    monkeypatch.setattr(connection, "PING_SECONDS", 0.2)
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 1)
    async with cable(broker_server) as (url, vanish):
        broker = Broker(url, "orders", broker_server.password("orders"))
        broker.open()
        await eventually(broker.is_connected)
        vanish()
        lines = [OrderLine(name="a long story " * 15_000)]
        await tell(database, *[OrderPlaced(order_id=str(each), aggregate_version=1, lines=lines) for each in range(60)])
        async with running(Relay(database, broker).run):
            await eventually(lambda: all_published(database))
        await broker.close()


async def test_a_full_stream_keeps_facts_waiting(database: Database, broker_server: Nats) -> None:
    """The broker refuses what is new, and nothing old is dropped for it."""
    async with connected(broker_server, "orders") as broker:
        relay = Relay(database, broker)
        await limit(broker_server, max_msgs=1)
        await tell(database, placed("order-1"), confirmed("order-1"))
        with pytest.raises(BrokerUnavailable):
            await relay.flush()
        assert await unpublished(database) == 1
        await limit(broker_server, max_msgs=-1)
        await relay.flush()
    assert [message.headers["ce-type"] for message in await stored(broker_server)] == [PLACED, CONFIRMED]


async def test_nobody_tells_another_service_s_facts(broker_server: Nats) -> None:
    """The broker refuses what the manifest does not name."""
    async with connected(broker_server, "listener") as listener:
        with pytest.raises(BrokerUnavailable):
            await listener.store(subject_of(PLACED, "order-1"), b"", {})
    assert await stored(broker_server) == []


async def test_a_relay_that_died_before_it_took_note_does_not_tell_twice(
    database: Database, broker_server: Nats
) -> None:
    """The broker has the fact, the outbox does not know: it is published again, and known by its id."""
    async with connected(broker_server, "orders") as broker:
        relay = Relay(database, broker)
        await tell(database, placed("order-1"))
        await relay.flush()
        async with database.transaction() as tx:
            await tx.execute("UPDATE outbox SET published_at = NULL")
        await relay.flush()
    assert len(await stored(broker_server)) == 1
    assert await unpublished(database) == 0


async def test_facts_are_told_again_in_their_order(database: Database) -> None:
    """Wherever their rows lie: each change of a row lays it somewhere else."""
    await tell(database, placed("order-1"), confirmed("order-1"))
    async with database.read() as reader:
        for version in (2, 1):
            await reader.execute(
                "UPDATE outbox SET published_at = created_at WHERE aggregate_version = %(version)s", version=version
            )
        since = (await reader.one("SELECT min(created_at) AS since FROM outbox"))["since"]
        await reader.execute(outbox.SQL.publish_again, since=since, published_before=since + timedelta(days=1), batch=1)
        waiting = await reader.all("SELECT aggregate_version FROM outbox WHERE published_at IS NULL")
    assert waiting == [{"aggregate_version": 1}]


async def test_published_facts_are_forgotten_after_a_week(database: Database, broker_server: Nats) -> None:
    """Those that still wait are not."""
    async with connected(broker_server, "orders") as broker:
        relay = Relay(database, broker)
        await tell(database, placed("order-1"))
        await relay.flush()
        await tell(database, placed("order-2"))
        async with database.transaction() as tx:
            await tx.execute("UPDATE outbox SET created_at = created_at - %(age)s::interval", age=timedelta(days=8))
        await relay.sweep()
    async with database.read() as reader:
        assert await reader.all("SELECT aggregate_id FROM outbox") == [{"aggregate_id": "order-2"}]


async def all_published(database: Database) -> bool:
    """Whether nothing waits in the outbox."""
    return await unpublished(database) == 0


async def is_late(relay: Relay) -> bool:
    """Whether the relay has noticed that a fact waits."""
    return relay.lag_seconds > 0


@asynccontextmanager
async def cable(broker_server: Nats) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """The way to the broker, and what stops all that goes over it, unsaid; a new connection may be made at once."""
    ends: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while some := await reader.read(65536):
                writer.write(some)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(HOST, int(broker_server.url.rpartition(":")[2]))
        ends.extend((writer, forth))
        await asyncio.gather(carry(reader, forth), carry(back, writer))

    def vanish() -> None:
        for end in ends:
            end.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that goes both ways

    server = await asyncio.start_server(connect, HOST, 0)
    yield f"nats://{HOST}:{server.sockets[0].getsockname()[1]}", vanish
    server.close()
    for end in ends:
        end.transport.abort()


async def limit(broker_server: Nats, max_msgs: int) -> None:
    """Bound the teller's stream."""
    client = await nats.connect(broker_server.admin_url)
    jetstream = client.jetstream()
    config = (await jetstream.stream_info("ORDERS")).config
    await jetstream.update_stream(config.evolve(max_msgs=max_msgs))
    await client.close()
