"""The connections to one database: bounded, lent for a moment, thrown away when found dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from prometheus_client import Gauge
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from chassis.sqlstate import translated

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.AsyncConnection[Row]

LONGEST_STATEMENT_SECONDS = 5.0
CHECKOUT_SECONDS = 2.0

_CONNECTIONS = Gauge("db_pool_connections", "Connections of the pool, by state.", ["state"])
_WAITING = Gauge("db_pool_waiting", "Tasks that wait for a connection.")


class Pool:
    """Connections in autocommit mode, whose statements are prepared when they come a second time."""

    def __init__(self, url: str, *, name: str, max_connections: int, max_waiting: int) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=max_connections,
            max_waiting=max_waiting,
            timeout=CHECKOUT_SECONDS,
            # Give an attempt up soon: the next task that needs a connection starts another one at once.
            reconnect_timeout=1.0,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 1,
                "row_factory": dict_row,
                "application_name": name,
                "connect_timeout": 2,
                "tcp_user_timeout": 5000,
                # A process frozen in the middle of a transaction must not hold its locks for ever.
                "options": f"-c statement_timeout={LONGEST_STATEMENT_SECONDS:.0f}s"
                " -c idle_in_transaction_session_timeout=15s",
            },
        )

    async def open(self) -> None:
        """Begin to connect; whether that succeeds shows when a connection is needed."""
        await self._pool.open(wait=False)
        stats = self._pool.get_stats
        _CONNECTIONS.labels("open").set_function(lambda: stats()["pool_size"])
        _CONNECTIONS.labels("idle").set_function(lambda: stats()["pool_available"])
        _WAITING.set_function(lambda: stats()["requests_waiting"])

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def lend(self, patience: float) -> AsyncIterator[Connection]:
        """A connection for the block."""
        connection = await self.take(patience)
        try:
            yield connection
        finally:
            await self.give_back(connection)

    async def take(self, patience: float) -> Connection:
        """A connection, to be given back. Raises NoConnection after `patience` seconds."""
        cancellations = _cancellations()
        try:
            connection = await self._pool.getconn(patience)
        except psycopg.Error as error:
            raise translated(error) from error
        # The pool waits by `asyncio.wait_for`, which in Python 3.11 forgets a cancellation that meets the result.
        if _cancellations() > cancellations:
            await self.give_back(connection)
            raise asyncio.CancelledError
        return connection

    async def give_back(self, connection: Connection) -> None:
        """Roll back what is uncommitted and return the connection; a broken one is replaced."""
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                await connection.rollback()
        await self._pool.putconn(connection)

    async def discard_dead(self) -> None:
        """Look at every idle connection and replace the dead ones: after one, there are likely more."""
        await self._pool.check()


def _cancellations() -> int:
    """How often somebody has asked the current task to stop."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0
