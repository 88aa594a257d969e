"""The connections to one database: bounded, lent for a moment, thrown away when found dead."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, LiteralString, TypeAlias, TypeVar

import psycopg
import psycopg_pool
from prometheus_client import Gauge
from psycopg import abc, generators
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool

from chassis.core import deadline
from chassis.database.sqlstate import DatabaseUnavailable, NoConnection, translated

Row: TypeAlias = dict[str, Any]
T = TypeVar("T")

LONGEST_STATEMENT_SECONDS = 5.0
CHECKOUT_SECONDS = 2.0
PATIENT_SHARE = 0.8
NOTICE_SECONDS = 0.1
"""How long a refused connection may take to be noticed."""

_CONNECTIONS = Gauge("db_pool_connections", "Connections of the pool, by state.", ["state"])
_WAITING = Gauge("db_pool_waiting", "Tasks that wait for a connection.")


@dataclass(frozen=True, slots=True)
class Command:
    """A statement, and the values of its parameters, which are written `%(name)s`."""

    statement: LiteralString
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement came to."""

    rows: list[Row]
    touched: int
    """How many rows it read or wrote."""


class Connection(psycopg.AsyncConnection[Row]):
    """A connection that sends several statements in one round trip, each parsed and planned only once."""

    async def run(self, *commands: Command) -> Result:
        """Run them in this order; what the last one came to. Raises psycopg.Error; what follows an error does not run.

        Outside of BEGIN and COMMIT they are one transaction. A statement without values is sent as it stands. Any other is
        prepared when it comes for the first time, its types taken from the statement itself.
        """
        await self._prepare({command.statement for command in commands if command.values} - self._calls.keys())
        result = (await self._exchange(map(self._call, commands)))[-1]
        return Result(self._rows(result), result.command_tuples or 0)

    async def _prepare(self, statements: Iterable[LiteralString]) -> None:
        prepared = {statement: (f"s{next(self._numbers)}", _Numbered()) for statement in statements}
        if not prepared:
            return
        await self._exchange(f"PREPARE {name} AS {statement % names}" for statement, (name, names) in prepared.items())
        for statement, (name, names) in prepared.items():
            self._calls[statement] = f"EXECUTE {name}({', '.join(f'%({each})s' for each in names)})"

    def _call(self, command: Command) -> str:
        if not command.values:
            return command.statement
        return self._calls[command.statement] % {name: self._literal(value) for name, value in command.values.items()}

    def _literal(self, value: Any) -> str:
        """The value as SQL, quoted by libpq."""
        return "NULL" if value is None else bytes(self._adapting.as_literal(value)).decode()

    async def _exchange(self, statements: Iterable[str]) -> list[PGresult]:
        # The simple protocol takes any number of statements at once. A cursor could send them too, but what it makes ready
        # for statements of any kind takes longer than libpq needs for these.
        # The semicolon has a line of its own: at the end of the one before, a comment would hide it.
        self.pgconn.send_query("\n;\n".join(statements).encode())
        results: list[PGresult] = await self.wait(generators.execute(self.pgconn))
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result)
        return results

    def _rows(self, result: PGresult) -> list[Row]:
        if not result.ntuples:
            return []
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        self._adapting.set_pgresult(result)
        rows: list[tuple[Any, ...]] = self._adapting.load_rows(0, result.ntuples, tuple)
        return [dict(zip(names, row, strict=True)) for row in rows]

    @cached_property
    def _calls(self) -> dict[str, str]:
        """The statements the server has prepared, and what calls each."""
        return {}

    @cached_property
    def _numbers(self) -> Iterator[int]:
        # None is used twice: whoever was interrupted does not know what the server has prepared.
        return count()

    @cached_property
    def _adapting(self) -> abc.Transformer:
        # Kept, since it remembers how each type is written and read.
        return Transformer(self)


class _Numbered(dict[str, str]):
    """Names a statement's parameters as PREPARE wants them, in the order in which they appear."""

    def __missing__(self, name: str) -> str:
        self[name] = f"${len(self) + 1}"
        return self[name]


class Pool:
    """Connections in autocommit mode."""

    def __init__(self, url: str, *, name: str, max_connections: int, max_waiting: int) -> None:
        self._cleaning: set[asyncio.Task[None]] = set()
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
            kwargs={
                "autocommit": True,
                "application_name": name,
                "client_encoding": "utf8",  # whatever the environment says: statements are sent as such
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
    async def lend(self) -> AsyncIterator[Connection]:
        """A connection for the block."""
        connection = await self.take()
        try:
            yield connection
        finally:
            await self.give_back(connection)

    async def take(self) -> Connection:
        """A connection, to be given back. Raises NoConnection when none becomes free in time."""
        cancellations = _cancellations()
        try:
            connection = await self._free_connection(_patience())
        except psycopg.Error as error:
            raise translated(error) from None
        # The pool waits by `asyncio.wait_for`, which in Python 3.11 forgets a cancellation that meets the result.
        if _cancellations() > cancellations:
            await self.give_back(connection)
            raise asyncio.CancelledError
        return connection

    async def _free_connection(self, patience: float) -> Connection:
        """The first that is free. Not waited for to the end while the server refuses to be connected to."""
        began = time.monotonic()
        try:
            return await self._pool.getconn(min(patience, NOTICE_SECONDS))
        except psycopg_pool.PoolTimeout:
            if self._failed_at > began or patience <= NOTICE_SECONDS:
                raise
            return await self._pool.getconn(patience - NOTICE_SECONDS)

    def _note_failure(self, _: "AsyncConnectionPool[Connection]") -> None:
        self._failed_at = time.monotonic()

    async def give_back(self, connection: Connection) -> None:
        """Roll back what is uncommitted and return the connection; a broken one is replaced."""
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            await self._pool.putconn(connection)
            return
        # In a task of its own: a second cancellation of ours would lose the pool a connection for good.
        cleaning = asyncio.create_task(self._clean(connection))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)
        await asyncio.shield(cleaning)

    async def past_the_dead(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt comes to; it is made once more when its connection turns out to be dead."""
        try:
            return await attempt()
        except NoConnection:
            raise
        except DatabaseUnavailable:
            await self._checked()
            return await attempt()

    async def _checked(self) -> None:
        """Have every idle connection looked at: after one that is dead, there are likely more. Not for ever."""
        if self._checking is None or self._checking.done():
            # In a task of its own: the pool would take our cancellation for the failure of a connection.
            self._checking = asyncio.create_task(self._pool.check())
        await asyncio.wait([self._checking], timeout=_patience())

    async def _clean(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            await connection.rollback()
        await self._pool.putconn(connection)


def _patience() -> float:
    """Seconds to wait for a connection: never so long that the caller's deadline passes before it learns that there is none."""
    return PATIENT_SHARE * deadline.shrunk(CHECKOUT_SECONDS / PATIENT_SHARE)


def _cancellations() -> int:
    """How often somebody has asked the current task to stop."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0
