"""What a service may rely on when it talks to its database."""

import asyncio
import os
import random
import signal
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import LiteralString

import pytest
from psycopg.types.json import Json

from chassis.core import deadline
from chassis.database import (
    AlreadyProcessed,
    CheckViolation,
    Command,
    Database,
    DatabaseUnavailable,
    Guard,
    StatementTimeout,
    Transaction,
    TransactionConflict,
    UniqueViolation,
    in_transaction,
)
from chassis.database.sqlstate import StatementFault
from tests.conftest import NewDatabase, embedded_postgres
from tests.waiting import passing
from tools.paths import ROOT
from tools.stack.databases import migrate

ADD = "INSERT INTO account (name, balance) VALUES (%(name)s, %(balance)s)"
ADD_ONCE = """
    WITH added AS (
        INSERT INTO account (name, balance) VALUES (%(name)s, %(balance)s) ON CONFLICT DO NOTHING RETURNING name
    )
    SELECT require(EXISTS (SELECT FROM added))
"""
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
    """Effect and what was to run before the commit are undone together."""
    with pytest.raises(ValueError, match="no"):
        async with database.transaction() as tx:
            await tx.execute(ADD, name="ada", balance=1)
            tx.before_commit(ADD, name="bob", balance=1)
            raise ValueError("no")
    assert await accounts(database) == 0


def new_account(name: str) -> Guard:
    """Not to be done for a name that has one."""
    return Guard(Command(ADD_ONCE, {"name": name, "balance": 1}))


async def test_a_guard_is_undone_with_the_rest(database: Database) -> None:
    """It is part of the transaction."""
    with pytest.raises(ValueError, match="no"):
        async with database.transaction(new_account("it's")) as tx:
            assert await tx.one(COUNT) == {"accounts": 1}
            raise ValueError("no")
    assert await accounts(database) == 0


async def test_a_guard_takes_effect_where_nothing_else_is_done(database: Database) -> None:
    """A block may have no more to say."""
    async with database.transaction(new_account("ada")):
        pass
    assert await accounts(database) == 1


async def test_a_transaction_whose_guard_does_not_hold_does_nothing(database: Database) -> None:
    """Whether that shows with its first result or at its end."""
    async with database.transaction(new_account("ada")):
        pass
    with pytest.raises(AlreadyProcessed):
        async with database.transaction(new_account("ada")) as tx:
            tx.before_commit(ADD, name="bob", balance=1)
    with pytest.raises(AlreadyProcessed):
        async with database.transaction(new_account("ada")) as tx:
            await tx.execute(ADD, name="bob", balance=1)
    assert await accounts(database) == 1


async def test_another_violation_is_not_taken_for_the_guards(database: Database) -> None:
    """What the block does may break a rule of its own."""
    with pytest.raises(CheckViolation):
        async with database.transaction(new_account("ada")) as tx:
            await tx.execute(ADD, name="bob", balance=-1)


async def test_a_statement_before_the_commit_is_committed_with_the_rest(database: Database) -> None:
    """It takes effect, in the order it was given in, and may carry any text."""
    async with database.transaction() as tx:
        tx.before_commit(ADD, name="'; DROP TABLE account; --", balance=1)
        tx.before_commit("UPDATE account SET balance = balance + %(more)s", more=41)
    async with database.read() as reader:
        assert await reader.all("SELECT * FROM account") == [{"name": "'; DROP TABLE account; --", "balance": 42}]


async def test_a_statement_before_the_commit_that_fails_undoes_the_transaction(database: Database) -> None:
    """The block ended well, the transaction did not."""
    with pytest.raises(CheckViolation):
        async with database.transaction() as tx:
            await tx.execute(ADD, name="ada", balance=1)
            tx.before_commit(ADD, name="bob", balance=-1)
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
        async with database.transaction(new_account("ada")) as tx:
            with pytest.raises(StatementFault):
                await tx.all("SELECT * FROM nowhere WHERE name = %(name)s", name="ada")
            await tx.execute(ADD, name="bob", balance=1)
    assert await accounts(database) == 0


async def test_a_comment_at_the_end_of_a_statement_hides_nothing_that_follows(database: Database) -> None:
    """Statements travel together, the COMMIT last."""
    async with database.transaction() as tx:
        tx.before_commit("INSERT INTO account SELECT 'ada', 1 -- the first")
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


@pytest.mark.parametrize("change", ["DEALLOCATE ALL", "DISCARD ALL"])
async def test_what_the_server_has_forgotten_is_prepared_again(
    new_database: NewDatabase, change: LiteralString
) -> None:
    """Somebody, or a pooler between two clients, resets the session."""
    async with opened(new_database("chassis"), max_connections=1) as database, database.read() as reader:
        for _ in range(2):
            assert await reader.one("SELECT %(text)s::text AS text", text="ada") == {"text": "ada"}
            await reader.execute(change)


async def test_a_transaction_whose_statements_were_forgotten_is_run_again(new_database: NewDatabase) -> None:
    """What it has done so far is lost; nothing is said twice."""
    async with opened(new_database("chassis"), max_connections=1) as database:
        runs = 0

        async def effect(tx: Transaction) -> str:
            nonlocal runs
            runs += 1
            if runs == 1:
                await tx.execute("DEALLOCATE ALL")
            text: str = (await tx.one("SELECT %(text)s::text AS text", text="ada"))["text"]
            return text

        async with database.read() as reader:
            await reader.one("SELECT %(text)s::text AS text", text="ada")
        assert await database.retrying(effect) == "ada"
        assert runs == 2


async def test_a_changed_type_is_found_out_once(database: Database) -> None:
    """A column of another type, a type made anew: the statement is prepared again, on every connection."""
    read: LiteralString = "SELECT balance FROM account WHERE name = %(name)s"
    write: LiteralString = "INSERT INTO moods (mood) VALUES (%(mood)s)"
    make: LiteralString = "CREATE TYPE mood AS ENUM ('calm'); CREATE TABLE moods (mood mood)"
    async with database.read() as reader:
        for statement in make.split(";"):
            await reader.execute(statement)
        await asyncio.gather(*[reader.all(read, name="ada") for _ in range(4)])
        assert await reader.execute(write, mood="calm") == 1
        await reader.execute("ALTER TABLE account ALTER balance TYPE bigint")
        for statement in f"DROP TABLE moods; DROP TYPE mood; {make}".split(";"):
            await reader.execute(statement)
        for _ in range(8):
            assert await reader.all(read, name="ada") == []
            assert await reader.execute(write, mood="calm") == 1


async def test_every_kind_of_value_comes_back_as_it_was(database: Database) -> None:
    """Values travel as parameters, never in the text of a statement."""
    kinds: dict[str, object] = {
        "int8": 2**40,
        "text": "it's; -- \\ %s",
        "bytea": bytes(range(256)),
        "int4[]": [1, 2, None],
        "text[]": ["a,b", '"', "NULL", ""],
        "bytea[]": [b"\\x00", b"{}"],
        "timestamptz": datetime(2026, 11, 27, 12, 30, 1, 5, tzinfo=UTC),
        "interval": timedelta(days=7, seconds=1),
        "numeric": Decimal("12345678901234567890.5"),
        "uuid": uuid.uuid4(),
        "bool": True,
        "float8": 0.1,
    }
    async with database.read() as reader:
        for kind, value in kinds.items():
            assert await reader.one(f"SELECT %(value)s::{kind} AS value", value=value) == {"value": value}
            assert await reader.one(f"SELECT %(value)s::{kind} AS value", value=None) == {"value": None}
        document = await reader.one("SELECT %(document)s::jsonb AS document", document=Json({"a": [1, None]}))
    assert document == {"document": {"a": [1, None]}}


async def test_more_is_sent_and_received_than_the_buffers_hold(database: Database) -> None:
    """The server answers while it is still being told: neither waits for the other."""
    big = "x" * 4_000_000
    echo = Command("SELECT %(text)s::text AS text", {"text": big})
    async with database.read() as reader:
        assert await reader.each(echo, echo, echo) == [[{"text": big}]] * 3


async def test_values_do_not_show_among_the_servers_activities(database: Database) -> None:
    """Whoever may look at pg_stat_activity sees the statement alone."""
    async with database.read() as reader:
        await reader.one("SELECT %(secret)s::text AS it", secret="hunter2")  # the next one may see its own text
        seen = await reader.all(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %(like)s",
            like="%hunter2%",
        )
    assert seen == []


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
            await hold_at_once(database, 4)
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


async def test_what_was_sent_whole_over_a_dead_connection_is_repeated_only_under_a_guard() -> None:
    """It may have been committed; the guard knows, and without one nobody does."""
    with embedded_postgres() as server:
        url = server.create("chassis")
        migrate(url, [ROOT / "chassis" / "database" / "migrations"])
        async with opened(url, max_connections=1) as database:
            async with database.transaction() as tx:
                await tx.execute("CREATE TABLE account (name text PRIMARY KEY, balance int)")
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            with pytest.raises(DatabaseUnavailable):
                async with database.transaction() as tx:
                    tx.before_commit(ADD, name="ada", balance=1)
            assert await accounts(database) == 0
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            async with database.transaction(new_account("ada")) as tx:
                tx.before_commit(ADD, name="bob", balance=1)
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


async def hold_at_once(database: Database, connections: int) -> None:
    """Use so many connections at the same time."""
    all_hold_one = asyncio.Barrier(connections)

    async def hold() -> None:
        async with database.transaction() as tx:
            await tx.execute("SELECT 1")
            await all_hold_one.wait()

    await asyncio.gather(*[hold() for _ in range(connections)])
