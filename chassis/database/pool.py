"""The connections to one database: bounded, acquired for a moment, replaced when found stale."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, TypeAlias, TypeVar

import psycopg
import psycopg_pool
from prometheus_client import Gauge
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from chassis.core import deadline
from chassis.database.pipeline import Command, Pipeline, Row
from chassis.database.sqlstate import DatabaseUnavailable, NoConnection, translated

Pooler: TypeAlias = Literal["none", "session", "transaction"]
"""What stands between us and PostgreSQL: nothing, or a pooler such as PgBouncer in that mode."""

T = TypeVar("T")

LONGEST_STATEMENT_SECONDS = 5.0
LONGEST_IDLE_SECONDS = 15.0
"""How long a process that is frozen in the middle of a transaction may hold its locks."""
CHECKOUT_SECONDS = 2.0
PATIENT_SHARE = 0.8
NOTICE_SECONDS = 0.1
"""How long a refused connection may take to be noticed."""
CANCEL_SECONDS = 2.0

_CONNECTIONS = Gauge("db_pool_connections", "Connections of the pool, by state.", ["state"])
_WAITING = Gauge("db_pool_waiting", "Tasks that wait for a connection.")

# Parameters, so that the text is always the same; `true`: until the transaction ends, as SET LOCAL.
_LIMIT_STATEMENTS = "SELECT set_config('statement_timeout', %(statement_ms)s, true)"
_LIMIT_TRANSACTION = f"""{_LIMIT_STATEMENTS}, set_config('idle_in_transaction_session_timeout', %(idle_ms)s, true)"""


class Connection(psycopg.AsyncConnection[Row]):
    """A connection, and its pipeline."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.statements = Pipeline(self)


class Pool:
    """Connections in autocommit mode.

    Behind a pooler in transaction mode each transaction may meet another of the server's processes: no statement is
    prepared there, and the time limits are set in each transaction. No pooler takes the start-up parameter `options`
    unless it is told to, so that behind one in session mode the limits are set once a connection is made.
    """

    def __init__(self, url: str, *, name: str, max_connections: int, max_waiting: int, pooler: Pooler = "none") -> None:
        self._pooler = pooler
        self._discarding: set[asyncio.Task[None]] = set()
        self._checking: asyncio.Task[None] | None = None
        self._failed_at = -math.inf
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=Connection,
            open=False,
            min_size=1,
            max_size=max_connections,
            max_waiting=max_waiting,
            timeout=CHECKOUT_SECONDS,
            # Give an attempt up at once: the next task that needs a connection starts another one.
            reconnect_timeout=0.0,
            reconnect_failed=self._note_failure,
            configure=self._configure,
            kwargs={
                "autocommit": True,
                "application_name": name,
                "client_encoding": "utf8",  # whatever the environment says: statements are sent as such
                "connect_timeout": 2,
                "tcp_user_timeout": 5000,
                **({"options": _options()} if pooler == "none" else {}),
            },
        )

    async def open(self) -> None:
        """Begin to connect; whether that succeeds shows when a connection is needed."""
        await self._pool.open(wait=False)

    def measure(self) -> None:
        """Show this pool in the process's metrics."""
        stats = self._pool.get_stats
        _CONNECTIONS.labels("open").set_function(lambda: stats()["pool_size"])
        _CONNECTIONS.labels("idle").set_function(lambda: stats()["pool_available"])
        _WAITING.set_function(lambda: stats()["requests_waiting"])

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    def limits(self, seconds: float = math.inf) -> Sequence[Command]:
        """What a transaction begins with, for its statements to take so long at most, or what every one may take."""
        statement_ms = max(1, int(min(seconds, LONGEST_STATEMENT_SECONDS) * 1000))
        if self._pooler == "transaction":
            values = {"statement_ms": statement_ms, "idle_ms": int(LONGEST_IDLE_SECONDS * 1000)}
            return [Command(_LIMIT_TRANSACTION, values)]
        if seconds >= LONGEST_STATEMENT_SECONDS:
            return []  # that is what every connection allows
        return [Command(_LIMIT_STATEMENTS, {"statement_ms": statement_ms})]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the block."""
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)

    async def acquire(self) -> Connection:
        """A connection, to be released. Raises NoConnection when none becomes free in time."""
        cancellations = _cancellations()
        try:
            connection = await self._free_connection(_patience())
        except psycopg.Error as error:
            raise translated(error) from None
        # psycopg_pool 3.3.3 waits by `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes
        # together with the result: https://github.com/python/cpython/issues/86296
        if _cancellations() > cancellations:
            await self.release(connection)
            raise asyncio.CancelledError
        return connection

    async def release(self, connection: Connection) -> None:
        """Roll back what is uncommitted and return the connection; one that was interrupted is closed and replaced."""
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            await self._pool.putconn(connection)
            return
        # In a task of its own: a second cancellation of ours would lose the pool a connection for good.
        discarding = asyncio.create_task(self._end_transaction(connection))
        self._discarding.add(discarding)
        discarding.add_done_callback(self._discarding.discard)
        await asyncio.shield(discarding)

    async def retry_on_stale_connection(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt comes to; it is made once more when its connection turns out to be dead."""
        try:
            return await attempt()
        except NoConnection:
            raise
        except DatabaseUnavailable:
            await self._check_idle()
            return await attempt()

    async def _free_connection(self, patience: float) -> Connection:
        """The first that is free. Not waited for to the end while the server refuses to be connected to."""
        began = time.monotonic()
        try:
            return await self._pool.getconn(min(patience, NOTICE_SECONDS))
        except psycopg_pool.PoolTimeout:
            if self._failed_at > began or patience <= NOTICE_SECONDS:
                raise
            return await self._pool.getconn(patience - NOTICE_SECONDS)

    async def _configure(self, connection: Connection) -> None:
        connection.statements.prepares = self._pooler != "transaction"
        if self._pooler == "session":
            for setting, seconds in _TIMEOUTS.items():
                await connection.execute(f"SET {setting} = '{seconds:.0f}s'")

    def _note_failure(self, _: "AsyncConnectionPool[Connection]") -> None:
        self._failed_at = time.monotonic()

    async def _check_idle(self) -> None:
        """Have every idle connection checked: after one that is dead, there are likely more. Not for ever."""
        if self._checking is None or self._checking.done():
            # In a task of its own: the pool would take our cancellation for the failure of a connection.
            self._checking = asyncio.create_task(self._pool.check())
        await asyncio.wait([self._checking], timeout=_patience())

    async def _end_transaction(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # Interrupted in the middle of an exchange. The server is told, or it would go on and keep its locks.
                await connection.cancel_safe(timeout=CANCEL_SECONDS)
                await connection.close()
            else:
                await connection.rollback()
        await self._pool.putconn(connection)


_TIMEOUTS = {
    "statement_timeout": LONGEST_STATEMENT_SECONDS,
    "idle_in_transaction_session_timeout": LONGEST_IDLE_SECONDS,
}


def _options() -> str:
    return " ".join(f"-c {setting}={seconds:.0f}s" for setting, seconds in _TIMEOUTS.items())


def _patience() -> float:
    """Seconds to wait for a connection: never so long that the caller's deadline passes before it learns that there is none."""
    return PATIENT_SHARE * deadline.shrunk(CHECKOUT_SECONDS / PATIENT_SHARE)


def _cancellations() -> int:
    """How often somebody has asked the current task to stop."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0
