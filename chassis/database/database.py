"""A service's PostgreSQL database: statements, transactions, and what becomes of them when it goes away."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from chassis.core.errors import TransientProblem
from chassis.database.pipeline import Command, Result
from chassis.database.pool import Pool, Pooler
from chassis.database.sqlstate import DatabaseUnavailable, TransactionConflict
from chassis.database.transaction import Guard, Reader, Transaction, run

T = TypeVar("T")

CONFLICT_ATTEMPTS = 4
REPLICA_AWAY_SECONDS = 5.0

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


def in_transaction() -> bool:
    """Whether the current task holds a transaction open, and so must not call a peer."""
    return _in_transaction.get()


def storable(text: str) -> str:
    """The text as PostgreSQL can hold it, which is without NUL: for what must be kept, whatever it says."""
    return text.replace("\0", "\ufffd")


class Database:
    """One service's database."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "tradewind",
        max_connections: int = 10,
        max_waiting: int = 200,
        pooler: Pooler = "none",
        replica_url: str | None = None,
    ) -> None:
        self.published = asyncio.Event()
        """Set whenever a transaction with facts has committed: what the relay waits for."""
        pool = partial(Pool, name=name, max_connections=max_connections, max_waiting=max_waiting, pooler=pooler)
        self._pool = pool(url)
        self._replica = Replica(pool(replica_url)) if replica_url else None

    async def open(self) -> None:
        """Begin to connect; whether the database can be reached is told by `is_reachable`."""
        await self._pool.open()
        self._pool.measure()
        if self._replica:
            await self._replica.pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        if self._replica:
            await self._replica.pool.close()

    async def is_reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            async with self.read() as reader:
                await reader.one("SELECT 1")
        except TransientProblem:
            return False
        return True

    @asynccontextmanager
    async def read(self, *, stale_ok: bool = False) -> AsyncIterator[Reader]:
        """Single statements, each on its own; no connection is held between them.

        One whose connection turns out to be dead is sent once more, so it must be a query, or idempotent. With
        `stale_ok` they are queries that may be answered by a replica, which may not have heard the latest yet; by the
        primary when there is no replica, or none that answers.
        """
        yield _PoolReader(self._pool, self._replica if stale_ok else None)

    @asynccontextmanager
    async def transaction(self, guard: Guard | None = None) -> AsyncIterator[Transaction]:
        """BEGIN, the block, COMMIT; ROLLBACK when the block raises. Not to be nested.

        Raises the guard's failure when the guard does not hold, which shows with the first result that the block asks
        for, or at its end. No statement may take longer than the deadline of the current call leaves.
        """
        if in_transaction():
            raise RuntimeError("this task has a transaction open already")
        tx = Transaction(self._pool, guard)
        _in_transaction.set(True)
        try:
            yield tx
            await tx.commit()
        finally:
            _in_transaction.set(False)
            await tx.end()
        if tx.publishes:
            self.published.set()

    async def retrying(self, effect: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `effect` in a transaction; again from its start, if it met another one."""
        for _ in range(CONFLICT_ATTEMPTS - 1):
            with suppress(TransactionConflict):
                return await self._run(effect)
        return await self._run(effect)

    async def _run(self, effect: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self.transaction() as tx:
            return await effect(tx)


class Replica:
    """A read replica. One that has not answered is left alone for a while: whoever asked it has lost time."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._away_until = -math.inf

    @property
    def is_away(self) -> bool:
        """Whether it has failed a moment ago."""
        return time.monotonic() < self._away_until

    def note_failure(self) -> None:
        """Ask it no more for a while."""
        self._away_until = time.monotonic() + REPLICA_AWAY_SECONDS


class _PoolReader(Reader):
    """Acquires a connection for each statement. A result is complete when it arrives, so none is needed to read it."""

    def __init__(self, primary: Pool, replica: Replica | None) -> None:
        self._primary = primary
        self._replica = replica

    async def _run(self, *commands: Command) -> list[Result]:
        if self._replica and not self._replica.is_away:
            try:
                return await self._run_on(self._replica.pool, commands)
            except DatabaseUnavailable:
                self._replica.note_failure()
            except TransactionConflict:
                pass  # what it replays would have removed rows from under the query
        return await self._run_on(self._primary, commands)

    async def _run_on(self, pool: Pool, commands: Sequence[Command]) -> list[Result]:
        limits = pool.limits()

        async def attempt() -> list[Result]:
            async with pool.connection() as connection:
                return (await run(connection, *limits, *commands))[len(limits) :]

        return await pool.retry_on_stale_connection(attempt)
