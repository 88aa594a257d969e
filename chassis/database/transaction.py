"""Statements on a connection, and the transaction that carries facts and an answer along with them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString, TypeVar

import psycopg
from google.protobuf.message import Message
from psycopg.pq import TransactionStatus

from chassis.core import deadline
from chassis.database import outbox
from chassis.database.pipeline import Command, Result, Row
from chassis.database.pool import LONGEST_STATEMENT_SECONDS, Connection, Pool
from chassis.database.sqlstate import GuardViolation, translated

M = TypeVar("M", bound=Message)

BEGIN = Command("BEGIN")
COMMIT = Command("COMMIT")
_ENDED = frozenset({TransactionStatus.IDLE, TransactionStatus.INERROR})


class AlreadyProcessed(Exception):
    """What the transaction was to do has been done before; it did nothing."""


@dataclass(frozen=True)
class Guard:
    """The precondition of a transaction: its first statement finds out whether the rest is to be done; if not, it raises in SQL.

    It calls the chassis's SQL function `require` (chassis/database/migrations/00070_require.sql). The server skips all
    that was sent behind a statement that fails, and so the guard, the effect and COMMIT may be one round trip.
    """

    command: Command
    failure: type[Exception] = AlreadyProcessed
    """What the transaction raises then."""


class Reader(ABC):
    """Runs statements, for one task at a time. Parameters are written `%(name)s`."""

    async def all(self, statement: LiteralString, /, **values: Any) -> list[Row]:
        """Every row."""
        return (await self._run(Command(statement, values)))[-1].rows

    async def first(self, statement: LiteralString, /, **values: Any) -> Row | None:
        """The first row, if there is one."""
        rows = await self.all(statement, **values)
        return rows[0] if rows else None

    async def one(self, statement: LiteralString, /, **values: Any) -> Row:
        """The first row of a statement that cannot but have one."""
        row = await self.first(statement, **values)
        if row is None:
            raise LookupError(f"no row from: {statement}")
        return row

    async def execute(self, statement: LiteralString, /, **values: Any) -> int:
        """The number of rows touched."""
        return (await self._run(Command(statement, values)))[-1].touched

    async def each(self, *commands: Command) -> list[list[Row]]:
        """Several statements in one round trip and one transaction: the rows of each."""
        return [result.rows for result in await self._run(*commands)]

    @abstractmethod
    async def _run(self, *commands: Command) -> list[Result]:
        """Send the statements together and wait for all of their results."""


class Transaction(Reader):
    """What is done through it happens together, or not at all.

    Nothing is sent before a result is asked for, or the end has come: BEGIN and the guard travel with the first
    statement, those of `before_commit` with COMMIT. Where no result is asked for, all of it is one round trip.
    """

    def __init__(self, pool: Pool, guard: Guard | None) -> None:
        self.answer: Message | None = None
        """The response given to `reply`."""
        self._pool = pool
        self._guard = guard
        self._connection: Connection | None = None
        self._facts: list[Message] = []
        self._before_commit: list[Command] = []
        self._on_commit: list[Callable[[], None]] = []

    def publish(self, fact: Message) -> None:
        """Let the world know, once this transaction has committed."""
        self._facts.append(fact)

    def reply(self, response: M) -> M:
        """Keep the response as the answer to the request: now, and whenever it is sent again."""
        self.answer = response
        return response

    def before_commit(self, statement: LiteralString, /, **values: Any) -> None:
        """Run a statement whose result nobody needs in the round trip of COMMIT; its error undoes the transaction."""
        self._before_commit.append(Command(statement, values))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back as soon as the transaction has committed; never, if it does not."""
        self._on_commit.append(callback)

    async def copy(self, statement: LiteralString, rows: AsyncIterable[Sequence[Any]]) -> int:
        """Feed rows to a `COPY … FROM STDIN`; return their number."""
        if self._connection is None:
            await self._run()
        cursor = self._begun().cursor()
        try:
            async with cursor.copy(statement) as copy:
                async for row in rows:
                    await copy.write_row(row)
        except psycopg.Error as error:
            raise translated(error) from None
        return cursor.rowcount

    @property
    def publishes(self) -> bool:
        """Whether it has facts to tell."""
        return bool(self._facts)

    async def commit(self) -> None:
        """What `before_commit` was given, the facts into the outbox, COMMIT: one round trip."""
        if self._facts:
            self._before_commit.append(outbox.insertion(self._facts))
        if self._connection or self._guard or self._before_commit:
            await self._run(*self._before_commit, COMMIT)
        for callback in self._on_commit:
            callback()

    async def end(self) -> None:
        """Roll back what is uncommitted."""
        connection, self._connection = self._connection, None
        if connection:
            await self._pool.release(connection)

    async def _run(self, *commands: Command) -> list[Result]:
        if self._connection:
            return await run(self._begun(), *commands)
        if COMMIT in commands and not self._guard:
            # If the connection dies it may have been committed, and nothing would tell: it is not sent again.
            return await self._begin(commands)
        # So far nothing has happened; or if it has, the guard tells.
        return await self._pool.retry_on_stale_connection(partial(self._begin, commands))

    def _begun(self) -> Connection:
        """The connection, if the transaction on it goes on."""
        assert self._connection is not None
        # After a failure PostgreSQL answers COMMIT by rolling back, and does not call that an error. And if not even the
        # BEGIN has come through, every statement would be a transaction of its own.
        if self._connection.pgconn.transaction_status in _ENDED:
            raise RuntimeError("a statement of this transaction failed, and its error was swallowed")
        return self._connection

    async def _begin(self, commands: Sequence[Command]) -> list[Result]:
        """BEGIN, the time limits, the guard and the first statements: one round trip."""
        await self.end()  # the attempt before, if there was one
        begin = [BEGIN, *self._pool.limits(deadline.shrunk(LONGEST_STATEMENT_SECONDS))]
        if self._guard:
            begin.append(self._guard.command)
        self._connection = await self._pool.acquire()
        try:
            return (await run(self._connection, *begin, *commands))[len(begin) :]
        except GuardViolation:
            if self._guard is None:
                raise
            raise self._guard.failure from None


async def run(connection: Connection, *commands: Command) -> list[Result]:
    """What each of the commands came to, all of them sent at once. Raises what `chassis.database.sqlstate` tells of."""
    try:
        return await connection.statements.run(*commands)
    except psycopg.Error as error:
        raise translated(error) from None
