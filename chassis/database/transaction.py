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
from chassis.database.pool import LONGEST_STATEMENT_SECONDS, Command, Connection, Pool, Result, Row
from chassis.database.sqlstate import ConstraintViolation, translated

M = TypeVar("M", bound=Message)

BEGIN = Command("BEGIN")
COMMIT = Command("COMMIT")
_ENDED = frozenset({TransactionStatus.IDLE, TransactionStatus.INERROR})


@dataclass(frozen=True)
class Opening:
    """A statement that finds out whether what follows is to be done at all: if not, it violates its constraint."""

    command: Command
    constraint: str


class NotToBeDoneError(Exception):
    """The opening statement has found that nothing is to be done here, or not again; so nothing was."""


class Reader(ABC):
    """Runs statements, for one task at a time. Parameters are written `%(name)s`."""

    async def all(self, statement: LiteralString, /, **values: Any) -> list[Row]:
        """Every row."""
        return (await self._run(Command(statement, values))).rows

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
        return (await self._run(Command(statement, values))).touched

    @abstractmethod
    async def _run(self, command: Command) -> Result:
        """Send the statement and wait for all of its result."""


class Transaction(Reader):
    """What is done through it happens together, or not at all.

    Nothing is sent before a result is asked for, or the end has come: the BEGIN and the opening statement travel with
    the first statement, the closing ones with the COMMIT. Where no result is asked for, all of it is one round trip.
    """

    def __init__(self, pool: Pool, opening: Opening | None) -> None:
        self.answer: Message | None = None
        """The response given to `reply`."""
        self._pool = pool
        self._opening = opening
        self._connection: Connection | None = None
        self._facts: list[Message] = []
        self._closing: list[Command] = []
        self._on_commit: list[Callable[[], None]] = []

    def publish(self, fact: Message) -> None:
        """Let the world know, once this transaction has committed."""
        self._facts.append(fact)

    def reply(self, response: M) -> M:
        """Keep the response as the answer to the request: now, and whenever it is sent again."""
        self.answer = response
        return response

    def closing(self, statement: LiteralString, /, **values: Any) -> None:
        """Run a statement whose result nobody needs along with the COMMIT; its errors end the transaction."""
        self._closing.append(Command(statement, values))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back as soon as the transaction has committed; never, if it does not."""
        self._on_commit.append(callback)

    async def copy(self, statement: LiteralString, rows: AsyncIterable[Sequence[Any]]) -> int:
        """Feed rows to a `COPY … FROM STDIN`; return their number."""
        if self._connection is None:
            await self._send()
        cursor = self._opened().cursor()
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
        """The closing statements, the facts into the outbox, COMMIT: one round trip."""
        if self._facts:
            self._closing.append(outbox.insertion(self._facts))
        if self._connection or self._opening or self._closing:
            await self._send(*self._closing, COMMIT)
        for callback in self._on_commit:
            callback()

    async def end(self) -> None:
        """Roll back what is uncommitted."""
        connection, self._connection = self._connection, None
        if connection:
            await self._pool.give_back(connection)

    async def _run(self, command: Command) -> Result:
        return await self._send(command)

    async def _send(self, *commands: Command) -> Result:
        if self._connection:
            return await run(self._opened(), None, *commands)
        if COMMIT in commands and not self._opening:
            # If the connection dies it may have been committed, and nothing would tell: it is not sent again.
            return await self._send_first(commands)
        # So far nothing has happened; or if it has, the opening statement tells.
        return await self._pool.past_the_dead(partial(self._send_first, commands))

    def _opened(self) -> Connection:
        """The connection, if the transaction on it goes on."""
        assert self._connection is not None
        # After a failure PostgreSQL answers COMMIT by rolling back, and does not call that an error. And if not even the
        # BEGIN has come through, every statement would be a transaction of its own.
        if self._connection.pgconn.transaction_status in _ENDED:
            raise RuntimeError("a statement of this transaction failed, and its error was swallowed")
        return self._connection

    async def _send_first(self, commands: Sequence[Command]) -> Result:
        await self.end()  # the attempt before, if there was one
        seconds = deadline.shrunk(LONGEST_STATEMENT_SECONDS)
        self._connection = await self._pool.take()
        return await run(self._connection, self._opening, *commands, begin=_beginning(seconds))


async def run(
    connection: Connection, opening: Opening | None, *commands: Command, begin: Sequence[Command] = ()
) -> Result:
    """What the last of the commands came to, all of them sent at once. Raises what `chassis.database.sqlstate` tells of."""
    first = [opening.command] if opening else []
    try:
        return await connection.run(*begin, *first, *commands)
    except psycopg.Error as error:
        problem = translated(error)
        if opening and isinstance(problem, ConstraintViolation) and problem.constraint == opening.constraint:
            raise NotToBeDoneError from None
        raise problem from None


def _beginning(seconds: float) -> Sequence[Command]:
    """BEGIN, with the longest time a statement may take."""
    if seconds >= LONGEST_STATEMENT_SECONDS:
        return [BEGIN]  # that is what every connection allows
    return [BEGIN, Command(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")]
