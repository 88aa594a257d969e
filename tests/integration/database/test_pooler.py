"""What holds behind a transaction pooler, where the next transaction may meet another of the server's processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from chassis.core import deadline
from chassis.database import Database
from tests.conftest import NewDatabase
from tests.integration.pooler import PgBouncer, running_pooler
from tools.stack.postgres import Postgres

LIMITS = """
    SELECT current_setting('statement_timeout') AS statement,
        current_setting('idle_in_transaction_session_timeout') AS idle, %(nothing)s::text AS nothing
"""


@pytest.fixture(scope="module")
def pooler(postgres: Postgres) -> Iterator[PgBouncer]:
    """One pooler for all tests of the module."""
    with running_pooler(postgres, ["chassis"]) as pooler:
        yield pooler


@pytest.fixture
async def database(new_database: NewDatabase, pooler: PgBouncer) -> AsyncIterator[Database]:
    """A database behind it."""
    database = Database(pooler.through(new_database("chassis")), max_connections=10, pooler="transaction")
    await database.open()
    yield database
    await database.close()


async def test_each_transaction_has_its_time_limits(database: Database) -> None:
    """No start-up parameter could set them for a whole connection."""
    async with database.read() as reader:
        assert await reader.one(LIMITS, nothing=None) == {"statement": "5s", "idle": "15s", "nothing": None}
    async with database.transaction() as tx:
        assert await tx.one(LIMITS, nothing=None) == {"statement": "5s", "idle": "15s", "nothing": None}
    async with deadline.timeout(0.5), database.transaction() as tx:
        assert (await tx.one(LIMITS, nothing=None))["statement"].endswith("ms")


async def test_no_client_runs_anothers_statement(database: Database) -> None:
    """Ten connections share two processes of the server: whatever one has sent means the same to both."""
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE counter (name text PRIMARY KEY, value int NOT NULL DEFAULT 0)")

    async def count(name: str) -> None:
        async with database.transaction() as tx:
            tx.before_commit("INSERT INTO counter (name) VALUES (%(name)s) ON CONFLICT DO NOTHING", name=name)
        for _ in range(20):
            async with database.transaction() as tx:
                await tx.one("UPDATE counter SET value = value + 1 WHERE name = %(name)s RETURNING value", name=name)

    await asyncio.gather(*[count(f"counter-{number}") for number in range(10)])
    async with database.read() as reader:
        assert await reader.all("SELECT count(*) AS counters, value FROM counter GROUP BY value") == [
            {"counters": 10, "value": 20}
        ]


async def test_an_interrupted_statement_lets_go_of_its_locks(database: Database) -> None:
    """The cancellation goes by way of the pooler too."""
    locked = asyncio.Event()

    async def hold() -> None:
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE held (name text)")
            locked.set()
            await tx.execute("SELECT pg_sleep(60)")

    holding = asyncio.create_task(hold())
    await locked.wait()
    holding.cancel()
    await asyncio.wait([holding])
    async with asyncio.timeout(3), database.transaction() as tx:
        await tx.execute("CREATE TABLE held (name text)")
