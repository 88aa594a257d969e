"""Statements in libpq's pipeline mode: any number in one round trip, prepared by the protocol, values as parameters.

It stands on what psycopg documents: `psycopg.pq`, which is libpq, and `psycopg.adapt`, which writes and reads values.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

Row: TypeAlias = dict[str, Any]

# Errors of a statement that was prepared before the server forgot it (DEALLOCATE ALL, DISCARD ALL), before a column of
# its result changed ("cached plan must not change result type"), before a type was dropped ("cache lookup failed").
_OUTDATED = frozenset({"26000", "0A000", "XX000"})


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


class Pipeline:
    """Runs several statements in one round trip on a connection of psycopg's, which in between is like any other."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.prepares = True
        """Whether a statement is parsed once, the first time; False where transactions share the server's processes."""
        self._connection = connection
        self._pgconn = connection.pgconn
        self._prepared: dict[bytes, bytes] = {}
        """What the server knows each text by."""
        self._numbers = count()
        # Kept, since it remembers how each type is written and read.
        self._adapter = Transformer(connection)

    async def run(self, *commands: Command) -> list[Result]:
        """Run the commands in this order; what each came to. Outside of BEGIN and COMMIT they are one transaction.

        Raises psycopg.Error for the first that fails; those after it do not run. The types of parameters are taken from
        the statement. A connection whose `run` was interrupted must be closed: answers are still on their way.
        """
        is_first = self._pgconn.transaction_status == TransactionStatus.IDLE
        try:
            return await self._exchange(commands)
        except psycopg.Error as error:
            if error.sqlstate not in _OUTDATED or not self._prepared:
                raise
            await self._forget_prepared()
            if not is_first:
                raise
        # A transaction that failed has had no effect: all of it may be sent again.
        return await self._exchange(commands)

    async def _exchange(self, commands: Sequence[Command]) -> list[Result]:
        # What cannot be written for PostgreSQL raises here, before anything is sent.
        calls = [self._call(command) for command in commands]
        self._pgconn.enter_pipeline_mode()
        preparing = self._prepare([text for text, _ in calls]) if self.prepares else {}
        for text, parameters in calls:
            self._send(text, parameters)
        # Ends what an error skips, and flushes. Nothing is executed twice or half: one sync, one exchange.
        self._pgconn.pipeline_sync()
        results = await self._results()
        # The mode is the client's alone. Without it psycopg's own methods work: COPY, rollback, the pool's check.
        self._pgconn.exit_pipeline_mode()
        self._note(preparing, results)
        return [self._load(result) for result in results[len(preparing) :]]

    def _call(self, command: Command) -> tuple[bytes, Sequence[Any] | None]:
        text, names = _numbered(command.statement, has_parameters=bool(command.values))
        if not names:
            return text, None
        # As text, since that fits whatever type the server has found for the parameter; None is NULL.
        values = [command.values[name] for name in names]
        return text, self._adapter.dump_sequence(values, [PyFormat.TEXT] * len(values))

    def _prepare(self, texts: Sequence[bytes]) -> dict[bytes, bytes]:
        """Have those prepared that are not yet; their names. No name is used twice."""
        fresh = {text: b"s%d" % next(self._numbers) for text in dict.fromkeys(texts) if text not in self._prepared}
        for text, name in fresh.items():
            self._pgconn.send_prepare(name, text)  # no types: the server finds them in the statement
        self._prepared |= fresh
        return fresh

    def _send(self, text: bytes, parameters: Sequence[Any] | None) -> None:
        if self.prepares:
            self._pgconn.send_query_prepared(self._prepared[text], parameters)
        else:
            self._pgconn.send_query_params(text, parameters)

    async def _results(self) -> list[PGresult]:
        """One result for each thing sent."""
        # In nonblocking mode, which psycopg sets, libpq may keep some of what was sent. Read while it is written, or two
        # full buffers would wait for one another.
        while self._pgconn.flush():
            await self._ready(to_write=True)
            self._pgconn.consume_input()
        results: list[PGresult] = []
        while True:
            while self._pgconn.is_busy():
                await self._ready()
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is None:  # the end of one statement's results, or of the connection
                if self._pgconn.status == ConnStatus.BAD:
                    raise psycopg.OperationalError("the connection was lost")
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    async def _ready(self, *, to_write: bool = False) -> None:
        """Wait until the socket can be read, or written to if that is wanted too."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        socket = self._pgconn.socket
        loop.add_reader(socket, _wake, woken)
        if to_write:
            loop.add_writer(socket, _wake, woken)
        try:
            await woken
        finally:
            loop.remove_reader(socket)
            if to_write:
                loop.remove_writer(socket)

    def _note(self, preparing: Mapping[bytes, bytes], results: Sequence[PGresult]) -> None:
        """Keep in mind what has been prepared, and raise the first error."""
        for text, result in zip(preparing, results, strict=False):
            if result.status != ExecStatus.COMMAND_OK:
                del self._prepared[text]
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:  # what was skipped after it is PIPELINE_ABORTED
                raise psycopg.errors.error_from_result(result)

    async def _forget_prepared(self) -> None:
        self._prepared.clear()
        await self._connection.rollback()
        await self._connection.execute("DEALLOCATE ALL")

    def _load(self, result: PGresult) -> Result:
        touched = result.command_tuples or 0
        if not result.ntuples:
            return Result([], touched)
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        self._adapter.set_pgresult(result)
        rows: list[tuple[Any, ...]] = self._adapter.load_rows(0, result.ntuples, tuple)
        return Result([dict(zip(names, row, strict=True)) for row in rows], touched)


class _Numbers(dict[str, str]):
    """Gives each parameter its number, in the order in which they appear."""

    def __missing__(self, name: str) -> str:
        self[name] = f"${len(self) + 1}"
        return self[name]


@cache
def _numbered(statement: LiteralString, *, has_parameters: bool) -> tuple[bytes, tuple[str, ...]]:
    """The statement as the protocol wants it, `%(name)s` being `$1`, and the names in the order of their numbers."""
    if not has_parameters:
        return statement.encode(), ()
    numbers = _Numbers()
    return (statement % numbers).encode(), tuple(numbers)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
