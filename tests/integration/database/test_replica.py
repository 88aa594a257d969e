"""Queries that may be stale go to a replica, as long as it answers. Real streaming replication, between two servers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from chassis.database import Database
from tests.conftest import embedded_postgres, open_directory
from tools.stack.addresses import free_port
from tools.stack.postgres import BINARIES, Postgres, unprivileged_account
from tools.stack.process import run_as

WHERE = "SELECT pg_is_in_recovery() AS is_replica"


@contextmanager
def running_replica(primary: Postgres) -> Iterator[Postgres]:
    """A hot standby that follows `primary`, for the block."""
    with open_directory() as directory:
        (directory / "password").write_bytes((primary.data_dir / "password").read_bytes())
        replica = Postgres(directory, free_port(), durable=False)
        account = unprivileged_account()
        if account:
            directory.chmod(0o755)
            subprocess.run(["chown", "-R", str(account.pw_uid), str(directory)], check=True)
        copy = [str(BINARIES / "pg_basebackup"), f"--dbname={primary.admin_url}", f"--pgdata={directory / 'cluster'}"]
        subprocess.run([*copy, "--write-recovery-conf", "--checkpoint=fast"], **run_as(account), check=True)
        replica.start()
        try:
            yield replica
        finally:
            replica.stop()


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    """A server of its own: one that is copied must hold still."""
    with embedded_postgres() as server:
        yield server


@pytest.fixture
def replica(primary: Postgres) -> Iterator[Postgres]:
    """Its replica."""
    with running_replica(primary) as server:
        yield server


@pytest.fixture
async def database(primary: Postgres, replica: Postgres) -> AsyncIterator[Database]:
    """Both of them, as a service sees them."""
    database = Database(primary.admin_url, replica_url=replica.admin_url)
    await database.open()
    yield database
    await database.close()


async def asks_a_replica(database: Database, *, stale_ok: bool) -> bool:
    """Whether a reader's query is answered by a replica."""
    async with database.read(stale_ok=stale_ok) as reader:
        is_replica: bool = (await reader.one(WHERE))["is_replica"]
    return is_replica


async def test_only_what_may_be_stale_is_read_from_the_replica(database: Database) -> None:
    """Everybody else reads what was committed."""
    assert await asks_a_replica(database, stale_ok=True)
    assert not await asks_a_replica(database, stale_ok=False)
    async with database.transaction() as tx:
        assert await tx.one(WHERE) == {"is_replica": False}


async def test_what_was_committed_comes_to_the_replica(database: Database) -> None:
    """By streaming, a moment later."""
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE IF NOT EXISTS news AS SELECT 'today' AS text")
    async with asyncio.timeout(10), database.read(stale_ok=True) as reader:
        while not (await reader.one("SELECT to_regclass('news') IS NOT NULL AS is_there"))["is_there"]:
            pass
        assert await reader.all("SELECT text FROM news") == [{"text": "today"}]


async def test_the_primary_answers_while_the_replica_is_away(database: Database, replica: Postgres) -> None:
    """Nobody who would have taken a stale answer goes without one."""
    assert await asks_a_replica(database, stale_ok=True)
    await asyncio.to_thread(replica.stop)
    for _ in range(3):
        assert not await asks_a_replica(database, stale_ok=True)
