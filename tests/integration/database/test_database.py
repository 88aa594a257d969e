"""What a service may rely on when it talks to its database."""

import asyncio
import os
import random
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import pytest

from chassis.core import deadline
from chassis.database import (
    CheckViolation,
    Command,
    Database,
    DatabaseUnavailable,
    NotToBeDoneError,
    Opening,
    StatementTimeout,
    Transaction,
    TransactionConflict,
    UniqueViolation,
    in_transaction,
)
from chassis.database.sqlstate import StatementFault
from tests.conftest import NewDatabase, embedded_postgres
from tests.waiting import passing

ADD = "INSERT INTO account (name, balance) VALUES (%(name)s, %(balance)s)"
COUNT = "SELECT count(*) AS accounts FROM account"


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    """A database with one table of its own."""
    async with opened(new_database("chassis")) as database:
        async with database.transaction() as tx:
            await tx.execute(
                "CREATE TABLE account (name text PRIMARY KEY, balance int CONSTRAINT covered CHECK (balance >= 0))"
            )
        yield database


async def accounts(database: Database) -> int:
    """How many rows the table has."""
    async with database.read() as reader:
        count: int = (await reader.one(COUNT))["accounts"]
    return count


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    """Effect and closing statements are undone together."""
    with pytest.raises(ValueError, match="no"):
        async with database.transaction() as tx:
            await tx.execute(ADD, name="ada", balance=1)
            tx.closing(ADD, name="bob", balance=1)
            raise ValueError("no")
    assert await accounts(database) == 0


def opening_account(name: str) -> Opening:
    """Not to be done for a name that has one."""
    return Opening(Command(ADD, {"name": name, "balance": 1}), "account_pkey")


async def test_the_opening_statement_is_undone_with_the_rest(database: Database) -> None:
    """It is part of the transaction."""
    with pytest.raises(ValueError, match="no"):
        async with database.transaction(opening_account("it's")) as tx:
            assert await tx.one(COUNT) == {"accounts": 1}
            raise ValueError("no")
    assert await accounts(database) == 0


async def test_the_opening_statement_takes_effect_where_nothing_else_is_done(database: Database) -> None:
    """A block may have no more to say."""
    async with database.transaction(opening_account("ada")):
        pass
    assert await accounts(database) == 1


async def test_a_transaction_that_is_not_to_be_done_does_nothing(database: Database) -> None:
    """Whether that shows with its first result or at its end."""
    async with database.transaction(opening_account("ada")):
        pass
    with pytest.raises(NotToBeDoneError):
        async with database.transaction(opening_account("ada")) as tx:
            tx.closing(ADD, name="bob", balance=1)
    with pytest.raises(NotToBeDoneError):
        async with database.transaction(opening_account("ada")) as tx:
            await tx.execute(ADD, name="bob", balance=1)
    assert await accounts(database) == 1


async def test_a_statement_that_is_not_to_be_run_does_nothing(database: Database) -> None:
    """The opening statement goes ahead of single ones too."""
    async with database.read(opening_account("ada")) as reader:
        assert await reader.one(COUNT) == {"accounts": 1}
        with pytest.raises(NotToBeDoneError):
            await reader.execute(ADD, name="bob", balance=1)
    assert await accounts(database) == 1


async def test_another_violation_is_not_taken_for_the_opening_statements(database: Database) -> None:
    """What the block does may break a rule of its own."""
    with pytest.raises(CheckViolation):
        async with database.transaction(opening_account("ada")) as tx:
            await tx.execute(ADD, name="bob", balance=-1)


async def test_a_closing_statement_is_committed_with_the_rest(database: Database) -> None:
    """It takes effect, in the order it was given in, and may carry any text."""
    async with database.transaction() as tx:
        tx.closing(ADD, name="'; DROP TABLE account; --", balance=1)
        tx.closing("UPDATE account SET balance = balance + %(more)s", more=41)
    async with database.read() as reader:
        assert await reader.all("SELECT * FROM account") == [{"name": "'; DROP TABLE account; --", "balance": 42}]


async def test_a_closing_statement_that_fails_undoes_the_transaction(database: Database) -> None:
    """The block ended well, the transaction did not."""
    with pytest.raises(CheckViolation):
        async with database.transaction() as tx:
            await tx.execute(ADD, name="ada", balance=1)
            tx.closing(ADD, name="bob", balance=-1)
    assert await accounts(database) == 0


async def test_a_swallowed_failure_is_not_taken_for_a_commit(database: Database) -> None:
    """PostgreSQL would roll back and report success."""
    with pytest.raises(RuntimeError, match="swallowed"):
        async with database.transaction() as tx:
            await tx.execute(ADD, name="ada", balance=1)
            with pytest.raises(UniqueViolation):
                await tx.execute(ADD, name="ada", balance=1)


async def test_nothing_is_done_after_a_failure_that_kept_the_transaction_from_beginning(database: Database) -> None:
    """What cannot be prepared fails before BEGIN: what followed would be committed statement by statement."""
    with pytest.raises(RuntimeError, match="swallowed"):
        async with database.transaction(opening_account("ada")) as tx:
            with pytest.raises(StatementFault):
                await tx.all("SELECT * FROM nowhere WHERE name = %(name)s", name="ada")
            await tx.execute(ADD, name="bob", balance=1)
    assert await accounts(database) == 0


async def test_a_comment_at_the_end_of_a_statement_hides_nothing_that_follows(database: Database) -> None:
    """Statements travel together, the COMMIT last."""
    async with database.transaction() as tx:
        tx.closing("INSERT INTO account SELECT 'ada', 1 -- the first")
    async with database.read() as reader:
        assert await reader.one(f"{COUNT} -- of all") == {"accounts": 1}


async def test_an_error_that_comes_back_every_time_is_not_taken_for_an_outage(database: Database) -> None:
    """An index holds no key of that size: whoever tries again only fails again."""
    name = "".join(random.Random(1).choices("0123456789abcdef", k=100_000))
    with pytest.raises(StatementFault, match="index row"):
        async with database.transaction() as tx:
            await tx.execute(ADD, name=name, balance=1)


async def test_any_text_can_be_stored_whatever_the_environment_says(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL's own variables are heard by its clients."""
    url = new_database("chassis")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    async with opened(url) as database, database.read() as reader:
        assert await reader.one("SELECT %(text)s::text AS text", text="5 €, ﬁn, 🏮") == {"text": "5 €, ﬁn, 🏮"}


async def test_a_violated_rule_is_told_by_its_name(database: Database) -> None:
    """Stores can translate it without knowing the driver."""
    async with database.transaction() as tx:
        await tx.execute(ADD, name="ada", balance=1)
    with pytest.raises(UniqueViolation) as twice:
        async with database.transaction() as tx:
            await tx.execute(ADD, name="ada", balance=1)
    with pytest.raises(CheckViolation) as overdrawn:
        async with database.transaction() as tx:
            await tx.execute(ADD, name="bob", balance=-1)
    assert (twice.value.constraint, overdrawn.value.constraint) == ("account_pkey", "covered")


async def test_a_violated_rule_quotes_no_row(database: Database) -> None:
    """PostgreSQL's own words hold the whole row; a log has no business with it."""
    address = "ada@example.org"
    with pytest.raises(CheckViolation) as raised:
        async with database.transaction() as tx:
            await tx.execute(ADD, name=address, balance=-1)
    assert address not in "".join(traceback.format_exception(raised.value))


async def test_a_statement_ends_with_the_deadline_of_its_call(database: Database) -> None:
    """The server stops working for a caller who has gone, and the connection is fit for the next one."""
    with pytest.raises(StatementTimeout):
        async with database.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 20")
            await tx.execute("SELECT pg_sleep(60)")
    async with deadline.timeout(1.0), database.transaction() as tx:
        limit = await tx.one("SELECT current_setting('statement_timeout')::interval < '1s' AS shrunk")
    assert limit == {"shrunk": True}


async def test_a_cancelled_task_gives_its_connection_back_clean(database: Database) -> None:
    """Neither the connection nor a lock of its transaction is lost."""
    locked = asyncio.Event()

    async def hold() -> None:
        async with database.transaction() as tx:
            await tx.execute("LOCK TABLE account")
            locked.set()
            await tx.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hold())
    await locked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await accounts(database) == 0


async def test_a_task_that_is_cancelled_twice_gives_its_connection_back_too(new_database: NewDatabase) -> None:
    """Its call's time is over, and its caller hangs up while the transaction is rolled back."""
    async with opened(new_database("chassis"), max_connections=1) as database:
        began = asyncio.Event()

        async def hold() -> None:
            async with database.transaction() as tx:
                await tx.execute("SELECT 1")
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await began.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert await database.is_reachable()


async def test_a_statement_that_was_interrupted_while_it_was_prepared_can_be_run(new_database: NewDatabase) -> None:
    """Nobody knows whether the server has prepared it."""
    async with opened(new_database("chassis"), max_connections=1) as database, database.read() as reader:
        for moment in range(20):
            statement = "SELECT count(*) AS seen FROM pg_class WHERE oid >= %(least)s" + " " * moment  # noqa: S608 — no input
            asking = asyncio.create_task(reader.one(statement, least=0))
            await passing(moment)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert (await reader.one(statement, least=0))["seen"]


async def test_callbacks_run_after_the_commit_and_only_then(database: Database) -> None:
    """What must not happen for an effect that never was waits until it is."""
    seen: list[str] = []
    with pytest.raises(ValueError, match="no"):
        async with database.transaction() as tx:
            tx.on_commit(lambda: seen.append("undone"))
            raise ValueError("no")
    async with database.transaction() as tx:
        tx.on_commit(lambda: seen.append("done"))
        assert seen == []
    assert seen == ["done"]


async def test_an_open_transaction_is_known_to_its_task(database: Database) -> None:
    """The channel asks, and refuses to call a peer."""
    assert not in_transaction()
    async with database.transaction():
        assert in_transaction()
        with pytest.raises(RuntimeError, match="already"):
            async with database.transaction():
                pass
    assert not in_transaction()


async def test_a_conflict_is_retried_from_the_start(database: Database) -> None:
    """Two transactions that deadlock both end well."""
    async with database.transaction() as tx:
        await tx.execute(ADD, name="ada", balance=10)
        await tx.execute(ADD, name="bob", balance=10)
    both = asyncio.Barrier(2)
    runs = 0

    def transfer(payer: str, payee: str) -> asyncio.Future[None]:
        met = False

        async def effect(tx: Transaction) -> None:
            nonlocal met, runs
            runs += 1
            await tx.execute("UPDATE account SET balance = balance - 1 WHERE name = %(name)s", name=payer)
            if not met:
                met = True
                await both.wait()
            await tx.execute("UPDATE account SET balance = balance + 1 WHERE name = %(name)s", name=payee)

        return asyncio.ensure_future(database.retrying(effect))

    await asyncio.gather(transfer("ada", "bob"), transfer("bob", "ada"))
    assert runs == 3
    async with database.read() as reader:
        assert await reader.all("SELECT DISTINCT balance FROM account") == [{"balance": 10}]


async def test_a_lasting_conflict_is_told(database: Database) -> None:
    """Retrying is bounded; then the caller decides."""

    async def effect(_: Transaction) -> None:
        raise TransactionConflict("always")

    with pytest.raises(TransactionConflict):
        await database.retrying(effect)


async def test_rows_are_copied_in_bulk(database: Database) -> None:
    """COPY takes any number of rows in one statement."""

    async def rows() -> AsyncIterator[tuple[str, int]]:
        for number in range(1000):
            yield f"account-{number}", number

    async with database.transaction() as tx:
        assert await tx.copy("COPY account (name, balance) FROM STDIN", rows()) == 1000
    assert await accounts(database) == 1000


async def test_a_restart_of_the_database_is_survived() -> None:
    """Every pooled connection is dead afterwards; no transaction fails for that, and an outage ends by itself."""
    with embedded_postgres() as server:
        async with opened(server.admin_url) as database:
            await asyncio.gather(*[hold_for_a_moment(database) for _ in range(4)])
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*[hold_for_a_moment(database) for _ in range(8)])
            assert await database.is_reachable()
            await asyncio.to_thread(server.stop)
            assert not await database.is_reachable()
            with pytest.raises(DatabaseUnavailable):
                await hold_for_a_moment(database)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*[hold_for_a_moment(database) for _ in range(8)])


async def test_a_query_finds_its_way_past_dead_connections() -> None:
    """As a transaction does."""
    with embedded_postgres() as server:
        async with opened(server.admin_url) as database, database.read() as reader:
            await asyncio.gather(*[hold_for_a_moment(database) for _ in range(4)])
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            assert await reader.one("SELECT 1 AS answer") == {"answer": 1}


async def test_a_deadline_holds_while_connections_are_looked_at_that_do_not_answer() -> None:
    """One is found dead; the others, asked whether they live, are silent."""
    with embedded_postgres() as server:
        async with opened(server.admin_url) as database:
            await asyncio.gather(*[hold_for_a_moment(database) for _ in range(4)])
            backends = [await backend(database) for _ in range(4)]
            assert len(set(backends)) == 4
            # The next statement gets the connection that was not used for the longest time.
            os.kill(backends[0], signal.SIGTERM)
            with stopped(backends[1:]):
                asked = asyncio.create_task(within(0.5, backend(database)))
                await asyncio.wait([asked], timeout=5)
                assert asked.done()
            await asyncio.gather(asked, return_exceptions=True)
            assert await database.is_reachable()


async def test_what_was_sent_whole_over_a_dead_connection_is_repeated_only_under_an_opening_statement() -> None:
    """It may have been committed; the opening statement knows, and without one nobody does."""
    with embedded_postgres() as server:
        async with opened(server.admin_url, max_connections=1) as database:
            async with database.transaction() as tx:
                await tx.execute("CREATE TABLE account (name text PRIMARY KEY, balance int)")
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            with pytest.raises(DatabaseUnavailable):
                async with database.transaction() as tx:
                    tx.closing(ADD, name="ada", balance=1)
            assert await accounts(database) == 0
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            async with database.transaction(opening_account("ada")) as tx:
                tx.closing(ADD, name="bob", balance=1)
            assert await accounts(database) == 2


@asynccontextmanager
async def opened(url: str, max_connections: int = 4) -> AsyncIterator[Database]:
    """A database of few connections, for the block."""
    database = Database(url, max_connections=max_connections)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def within(seconds: float, work: Awaitable[int]) -> int:
    """What the work comes to, if it comes to it in time."""
    async with deadline.timeout(seconds):
        return await work


async def backend(database: Database) -> int:
    """The process that answers at the other end of the next connection."""
    async with database.read() as reader:
        pid: int = (await reader.one("SELECT pg_backend_pid() AS pid"))["pid"]
    return pid


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Processes that hear nothing, for the block."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def hold_for_a_moment(database: Database) -> None:
    """Use a connection long enough for the next task to need another."""
    async with database.transaction() as tx:
        await tx.execute("SELECT pg_sleep(0.02)")
