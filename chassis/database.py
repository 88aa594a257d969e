"""A service's PostgreSQL database: statements, transactions, and what becomes of them when it goes away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, LiteralString, TypeVar

import psycopg

from chassis import deadline
from chassis.errors import TransientProblem
from chassis.pool import CHECKOUT_SECONDS, LONGEST_STATEMENT_SECONDS, Connection, Pool, Row
from chassis.sqlstate import (
    CheckViolation,
    ConstraintViolation,
    DatabaseUnavailable,
    ForeignKeyViolation,
    NoConnection,
    StatementTimeout,
    TransactionConflict,
    UniqueViolation,
    translated,
)
from chassis.transaction import Cursor, Params, Reader, Transaction

__all__ = [
    "CheckViolation",
    "ConstraintViolation",
    "Database",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "Reader",
    "Row",
    "StatementTimeout",
    "Transaction",
    "TransactionConflict",
    "UniqueViolation",
    "in_transaction",
]

T = TypeVar("T")

CONFLICT_ATTEMPTS = 4
PATIENT_SHARE = 0.8

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


def in_transaction() -> bool:
    """Whether the current task holds a transaction open, and so must not call a peer."""
    return _in_transaction.get()


class Database:
    """One service's database."""

    def __init__(self, url: str, *, name: str = "tradewind", max_connections: int = 10, max_waiting: int = 200) -> None:
        self.published = asyncio.Event()
        """Set whenever a transaction with facts has committed: what the relay waits for."""
        self._pool = Pool(url, name=name, max_connections=max_connections, max_waiting=max_waiting)

    async def open(self) -> None:
        """Begin to connect; whether the database can be reached is told by `is_reachable`."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def is_reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            async with self.read() as reader:
                await reader.one("SELECT 1")
        except TransientProblem:
            return False
        return True

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        """Single statements, each on its own; no connection is held between them.

        One whose connection turns out to be dead is sent once more, so it must be a query, or idempotent.
        """
        yield _PoolReader(self._pool)

    @asynccontextmanager
    async def transaction(self, opening: LiteralString = "", /, **params: Any) -> AsyncIterator[Transaction]:
        """BEGIN, the block, COMMIT; ROLLBACK when the block raises. Not to be nested.

        The opening statement travels with the BEGIN; its rows are in `Transaction.opened`. No statement may take longer
        than the deadline of the current call leaves.
        """
        if in_transaction():
            raise RuntimeError("this task has a transaction open already")
        connection, tx = await self._begun(opening, params)
        _in_transaction.set(True)
        try:
            yield tx
            await tx.commit()
        finally:
            _in_transaction.set(False)
            await self._pool.give_back(connection)
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

    async def _begun(self, opening: LiteralString, params: Params) -> tuple[Connection, Transaction]:
        try:
            return await self._begin(opening, params)
        except NoConnection:
            raise
        except DatabaseUnavailable:
            # The connection was dead, but nothing has happened yet: begin again on a live one.
            await self._pool.discard_dead()
            return await self._begin(opening, params)

    async def _begin(self, opening: LiteralString, params: Params) -> tuple[Connection, Transaction]:
        seconds = deadline.shrunk(LONGEST_STATEMENT_SECONDS)
        connection = await self._pool.take(_patience())
        try:
            return connection, await Transaction.begun(connection, seconds, opening, params)
        except BaseException:
            await self._pool.give_back(connection)
            raise


def _patience() -> float:
    """Seconds to wait for a connection: never so long that the caller's deadline passes before it learns that there is none."""
    return PATIENT_SHARE * deadline.shrunk(CHECKOUT_SECONDS / PATIENT_SHARE)


class _PoolReader(Reader):
    """Takes a connection for each statement. A result is complete when it arrives, so none is needed to read it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _run(self, statement: LiteralString, params: Params) -> Cursor:
        try:
            return await self._run_once(statement, params)
        except NoConnection:
            raise
        except DatabaseUnavailable:
            await self._pool.discard_dead()
            return await self._run_once(statement, params)

    async def _run_once(self, statement: LiteralString, params: Params) -> Cursor:
        async with self._pool.lend(_patience()) as connection:
            try:
                return await connection.execute(statement, params or None)
            except psycopg.Error as error:
                raise translated(error) from None
