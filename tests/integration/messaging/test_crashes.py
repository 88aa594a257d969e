"""What becomes of a fact when the process that carries it dies at the worst instant."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest

from chassis.database import Database
from tests.conftest import Nats, NewDatabase
from tests.integration.messaging.facts import LISTENER, TELLER, placed, stored, tell, unpublished
from tests.integration.messaging.listener import Listener, listening
from tests.waiting import eventually
from tools.paths import ROOT

KILLED = -9


@pytest.fixture
def teller_url(new_database: NewDatabase) -> str:
    """Where the publishing service's database is."""
    return new_database("chassis")


@pytest.fixture
async def teller(teller_url: str) -> AsyncIterator[Database]:
    """The publishing service's database."""
    database = Database(teller_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def listener_url(new_database: NewDatabase) -> str:
    """Where the consuming service's database is."""
    return new_database("chassis")


@pytest.fixture
async def listener(listener_url: str) -> AsyncIterator[Listener]:
    """The consuming service."""
    async with listening(listener_url) as listener:
        yield listener


@pytest.fixture
async def broker_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """A NATS server that does not wait long for an acknowledgement."""
    nats = Nats(tmp_path / "nats", [TELLER, LISTENER])
    await nats.start()
    await shorten_patience(nats)
    yield nats
    await nats.stop()


@pytest.mark.parametrize("instant", ["relay.before_publish", "relay.after_publish"])
async def test_a_relay_killed_at_work_loses_and_repeats_nothing(
    instant: str, teller: Database, teller_url: str, broker_server: Nats
) -> None:
    """The next one tells the same facts under the same ids."""
    await tell(teller, *[placed(f"order-{number}") for number in range(5)])
    killed = await process("relay", teller_url, broker_server, failpoints=f"{instant}=kill")
    assert await killed.wait() == KILLED
    assert await unpublished(teller) == 5
    relay = await process("relay", teller_url, broker_server)
    await eventually(lambda: nothing_waits(teller))
    await end(relay)
    assert sorted(each.headers["ce-subject"] for each in await stored(broker_server)) == [
        f"order-{n}" for n in range(5)
    ]


async def test_a_consumer_killed_before_it_acknowledged_has_one_effect(
    teller: Database, teller_url: str, listener: Listener, listener_url: str, broker_server: Nats
) -> None:
    """The broker delivers the fact again; the inbox knows it."""
    relay = await process("relay", teller_url, broker_server)
    await tell(teller, placed("order-1"))
    killed = await process("consumer", listener_url, broker_server, failpoints="consumer.commit_to_ack=kill")
    assert await killed.wait() == KILLED
    assert await listener.heard() == ["order-1/1"]
    consumer = await process("consumer", listener_url, broker_server)
    await eventually(lambda: everything_acknowledged(broker_server))
    await end(relay)
    await end(consumer)
    assert await listener.heard() == ["order-1/1"]


async def process(role: str, database_url: str, broker_server: Nats, *, failpoints: str = "") -> Process:
    """Start a process that relays or consumes, armed to die at the fail-points."""
    user = "orders" if role == "relay" else "listener"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.messaging.fact_process", role),
        *(database_url, broker_server.url, broker_server.password(user)),
        cwd=ROOT,
        env={**os.environ, "TRADEWIND_FAILPOINTS": failpoints},
        stdout=asyncio.subprocess.DEVNULL,
    )


async def end(process: Process) -> None:
    """Stop a process that would go on for ever."""
    process.kill()
    await process.wait()


async def nothing_waits(database: Database) -> bool:
    """Whether the outbox has told everything."""
    return await unpublished(database) == 0


async def shorten_patience(broker_server: Nats) -> None:
    """Have the listener's facts delivered again after a second without an acknowledgement."""
    client = await nats.connect(broker_server.admin_url)
    jetstream = client.jetstream()
    config = (await jetstream.consumer_info("ORDERS", "listener")).config
    await jetstream.add_consumer("ORDERS", config.evolve(ack_wait=1))
    await client.close()


async def everything_acknowledged(broker_server: Nats) -> bool:
    """Whether the broker has delivered all it has and waits for nothing."""
    client = await nats.connect(broker_server.admin_url)
    info = await client.jetstream().consumer_info("ORDERS", "listener")
    await client.close()
    return info.num_ack_pending == 0 and info.num_pending == 0 and info.delivered.consumer_seq > 1
