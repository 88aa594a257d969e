"""Statements on a connection, and the transaction that carries facts and an answer along with them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any, LiteralString, Self, TypeAlias, TypeVar

import psycopg
from google.protobuf.message import Message
from psycopg.pq import TransactionStatus

from chassis import outbox
from chassis.pool import Connection, Row
from chassis.sqlstate import translated

Params: TypeAlias = Mapping[str, Any] | Sequence[Any]
Cursor: TypeAlias = psycopg.AsyncCursor[Row]
M = TypeVar("M", bound=Message)


class Reader(ABC):
    """Runs statements, for one task at a time. Parameters are written `%(name)s`."""

    async def all(self, statement: LiteralString, /, **params: Any) -> list[Row]:
        """Every row."""
        return await (await self._run(statement, params)).fetchall()

    async def first(self, statement: LiteralString, /, **params: Any) -> Row | None:
        """The first row, if there is one."""
        return await (await self._run(statement, params)).fetchone()

    async def one(self, statement: LiteralString, /, **params: Any) -> Row:
        """The first row of a statement that cannot but have one."""
        row = await self.first(statement, **params)
        if row is None:
            raise LookupError(f"no row from: {statement}")
        return row

    async def execute(self, statement: LiteralString, /, **params: Any) -> int:
        """The number of rows touched."""
        return (await self._run(statement, params)).rowcount

    @abstractmethod
    async def _run(self, statement: LiteralString, params: Params) -> Cursor:
        """Send the statement and wait for all of its result."""


class Transaction(Reader):
    """What is done through it happens together, or not at all."""

    def __init__(self, connection: Connection) -> None:
        self.opened: list[Row] = []
        """The rows of the statement it was opened with."""
        self.answer: Message | None = None
        """The response given to `reply`."""
        self._connection = connection
        self._cursor = connection.cursor()
        self._facts: list[Message] = []
        self._closing: list[str] = []
        self._on_commit: list[Callable[[], None]] = []

    @classmethod
    async def begun(cls, connection: Connection, seconds: float, opening: LiteralString, params: Params) -> Self:
        """BEGIN, with the longest time a statement may take, and the opening statement: one round trip."""
        tx = cls(connection)
        begin = f"BEGIN; SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"
        tx.opened = await tx._send(f"{begin}; {tx._literally(opening, params)}" if opening else begin)
        return tx

    def publish(self, fact: Message) -> None:
        """Let the world know, once this transaction has committed."""
        self._facts.append(fact)

    def reply(self, response: M) -> M:
        """Keep the response as the answer to the request: now, and whenever it is sent again."""
        self.answer = response
        return response

    def closing(self, statement: LiteralString, /, **params: Any) -> None:
        """Run a statement whose result nobody needs along with the COMMIT; its errors end the transaction."""
        self._closing.append(self._literally(statement, params))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back as soon as the transaction has committed; never, if it does not."""
        self._on_commit.append(callback)

    async def copy(self, statement: LiteralString, rows: AsyncIterable[Sequence[Any]]) -> int:
        """Feed rows to a `COPY … FROM STDIN`; return their number."""
        try:
            async with self._cursor.copy(statement) as copy:
                async for row in rows:
                    await copy.write_row(row)
        except psycopg.Error as error:
            raise translated(error) from None
        return self._cursor.rowcount

    @property
    def publishes(self) -> bool:
        """Whether it has facts to tell."""
        return bool(self._facts)

    async def commit(self) -> None:
        """The closing statements, the facts into the outbox, COMMIT: one round trip."""
        # PostgreSQL answers the COMMIT of a failed transaction by rolling it back, and does not call that an error.
        if self._connection.pgconn.transaction_status == TransactionStatus.INERROR:
            raise RuntimeError("a statement of this transaction failed, and its error was swallowed")
        if self._facts:
            self._closing.append(self._literally(*outbox.insertion(self._facts)))
        await self._send("; ".join([*self._closing, "COMMIT"]))
        for callback in self._on_commit:
            callback()

    async def _run(self, statement: LiteralString, params: Params) -> Cursor:
        try:
            return await self._cursor.execute(statement, params or None)
        except psycopg.Error as error:
            raise translated(error) from None

    async def _send(self, statements: str) -> list[Row]:
        try:
            return await self._connection.send(statements)
        except psycopg.Error as error:
            raise translated(error) from None

    def _literally(self, statement: LiteralString, params: Params) -> str:
        """The statement with its parameters written into it."""
        if not params:
            return statement
        literal = self._connection.literal
        if isinstance(params, Mapping):
            return statement % {name: literal(value) for name, value in params.items()}
        return statement % tuple(map(literal, params))
