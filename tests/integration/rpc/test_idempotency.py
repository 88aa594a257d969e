"""What a caller may rely on when it sends a request twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from chassis.contract import descriptors
from chassis.core import errors
from chassis.core.sealing import Keyring
from chassis.database import Database
from chassis.rpc.idempotency import Claim, Replay, RequestIdReused, RequestStore
from tests.conftest import NewDatabase
from tradewind.identity.v1 import identity_service_pb2, user_pb2
from tradewind.inventory.v1 import inventory_service_pb2

RESERVE = descriptors.method("tradewind.inventory.v1.InventoryService/ReserveStock")
LOGIN = descriptors.method("tradewind.identity.v1.IdentityService/Login")
REQUEST_ID = "0198a6a0-0000-7000-8000-000000000001"

SPEND = "INSERT INTO spending (amount) VALUES (%(amount)s)"


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[Database]:
    """A database with a table whose rows count effects."""
    database = Database(new_database("chassis"))
    await database.open()
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE spending (amount int)")
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> RequestStore:
    """The store under test."""
    return RequestStore(database, Keyring.parse("6b" * 32))


def reserve(store: RequestStore, *, order_id: str = "order-1", principal: str = "orders") -> Claim:
    """The claim of a small request."""
    request = inventory_service_pb2.ReserveStockRequest(request_id=REQUEST_ID, order_id=order_id)
    return store.claim(principal, RESERVE, request)


def reserved(order_id: str) -> inventory_service_pb2.ReserveStockResponse:
    """A response that can be told from others."""
    response = inventory_service_pb2.ReserveStockResponse()
    response.reservation.order_id = order_id
    return response


async def spend(store: RequestStore, claim: Claim, answer: str = "first") -> None:
    """An effect that must happen once."""
    async with store.once(claim) as tx:
        await tx.execute(SPEND, amount=1)
        tx.reply(reserved(answer))


async def effects(database: Database) -> int:
    """How often it happened."""
    async with database.read() as reader:
        count: int = (await reader.one("SELECT count(*) AS effects FROM spending"))["effects"]
    return count


async def test_a_repeat_gets_the_first_answer_byte_for_byte(store: RequestStore, database: Database) -> None:
    """And the effect is not repeated."""
    await spend(store, reserve(store), "first")
    with pytest.raises(Replay) as replay:
        await spend(store, reserve(store), "second")
    assert replay.value.reply == reserved("first").SerializeToString()
    assert await effects(database) == 1


async def test_an_id_cannot_be_used_for_something_else(store: RequestStore, database: Database) -> None:
    """The caller has a bug, and is told so instead of getting another request's answer."""
    await spend(store, reserve(store, order_id="order-1"))
    with pytest.raises(RequestIdReused):
        await spend(store, reserve(store, order_id="order-2"))
    assert await effects(database) == 1


async def test_callers_do_not_share_their_ids(store: RequestStore, database: Database) -> None:
    """Two principals may choose the same id, and neither learns of the other."""
    await spend(store, reserve(store, principal="ada"))
    await spend(store, reserve(store, principal="bob"))
    assert await effects(database) == 2


async def test_a_repeat_waits_for_the_first_that_is_still_at_work(store: RequestStore, database: Database) -> None:
    """It neither runs beside it nor is turned away."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with store.once(reserve(store)) as tx:
            await tx.execute(SPEND, amount=1)
            entered.set()
            await go_on.wait()
            tx.reply(reserved("first"))

    working = asyncio.create_task(first())
    await entered.wait()
    repeat = asyncio.create_task(spend(store, reserve(store), "second"))
    await somebody_waits_for_a_lock(database)
    assert not repeat.done()
    go_on.set()
    await working
    with pytest.raises(Replay) as replay:
        await repeat
    assert replay.value.reply == reserved("first").SerializeToString()
    assert await effects(database) == 1


async def test_a_repeat_of_one_that_died_takes_effect(store: RequestStore, database: Database) -> None:
    """A process that was killed before its commit has promised nothing."""
    with pytest.raises(asyncio.CancelledError):
        async with store.once(reserve(store)) as tx:
            await tx.execute(SPEND, amount=1)
            raise asyncio.CancelledError
    await spend(store, reserve(store))
    assert await effects(database) == 1


async def test_a_refusal_is_an_answer(store: RequestStore, database: Database) -> None:
    """Its effect is undone; a repeat is refused in the same words, even if it would succeed by now."""
    with pytest.raises(errors.FailedPrecondition):
        await refuse(store, errors.FailedPrecondition("sold out", reason="OUT_OF_STOCK", sku="lamp"))
    with pytest.raises(errors.FailedPrecondition) as again:
        await spend(store, reserve(store))
    assert (again.value.reason, again.value.message, again.value.metadata) == (
        "OUT_OF_STOCK",
        "sold out",
        {"sku": "lamp"},
    )
    assert await effects(database) == 0


async def test_a_refusal_may_keep_its_effect(store: RequestStore, database: Database) -> None:
    """What it did is committed with it, once; a repeat is refused in the same words."""

    class Reported(errors.Unauthenticated):
        reason = "REPORTED"
        keeps_effect = True

    for _ in range(2):
        with pytest.raises(errors.Unauthenticated, match="REPORTED: seen"):
            await refuse(store, Reported("seen"))
    assert await effects(database) == 1


async def test_a_passing_problem_is_not_an_answer(store: RequestStore, database: Database) -> None:
    """The repeat is what the problem asked for."""
    with pytest.raises(errors.Unavailable):
        await refuse(store, errors.Unavailable("come back later"))
    await spend(store, reserve(store))
    assert await effects(database) == 1


async def test_all_repeats_at_once_get_one_answer(store: RequestStore, database: Database) -> None:
    """Even when some would be refused and others succeed, whoever is first decides for all."""

    async def attempt(number: int) -> object:
        try:
            await (refuse(store, errors.NotFound("no such order")) if number % 2 else spend(store, reserve(store)))
        except Replay as replay:
            return replay.reply
        except errors.NotFound as refusal:
            return refusal.message
        return reserved("first").SerializeToString()

    answers = set(await asyncio.gather(*[attempt(number) for number in range(20)]))
    assert len(answers) == 1
    assert await effects(database) == (0 if answers == {"no such order"} else 1)


async def test_an_effect_without_an_answer_is_a_bug(store: RequestStore, database: Database) -> None:
    """A repeat would have nothing to get: it is undone."""
    with pytest.raises(RuntimeError, match="without an answer"):
        async with store.once(reserve(store)) as tx:
            await tx.execute(SPEND, amount=1)
    assert await effects(database) == 0


async def test_an_answer_that_holds_a_secret_is_sealed(store: RequestStore, database: Database) -> None:
    """The table tells nobody the token, nor a fingerprint of the password that could be tried out."""
    request = identity_service_pb2.LoginRequest(request_id=REQUEST_ID, password="correct horse")
    response = identity_service_pb2.LoginResponse(tokens=user_pb2.TokenPair(access_token="very-secret-token"))
    async with store.once(store.claim("", LOGIN, request)) as tx:
        tx.reply(response)
    async with database.read() as reader:
        stored = await reader.one("SELECT reply, fingerprint FROM request")
    assert b"very-secret-token" not in stored["reply"]
    with pytest.raises(Replay) as replay:
        async with store.once(store.claim("", LOGIN, request)) as tx:
            tx.reply(identity_service_pb2.LoginResponse())
    assert replay.value.reply == response.SerializeToString()
    other = RequestStore(database, Keyring.parse("a0" * 32)).claim("", LOGIN, request)
    assert other.fingerprint != stored["fingerprint"]


async def test_answers_are_forgotten_after_a_week_unless_they_are_about_money(
    store: RequestStore, database: Database
) -> None:
    """What is kept for ever is still there when the rest has been swept."""
    async with store.once(reserve(store, principal="payments"), keep_forever=True) as tx:
        tx.reply(reserved("paid"))
    await spend(store, reserve(store, principal="ada"))
    async with database.transaction() as tx:
        await tx.execute("UPDATE request SET created_at = created_at - %(age)s::interval", age=timedelta(days=8))
    await spend(store, reserve(store, principal="bob"))
    await store.sweep()
    async with database.read() as reader:
        kept = await reader.all("SELECT principal FROM request ORDER BY principal")
    assert kept == [{"principal": "bob"}, {"principal": "payments"}]


async def refuse(store: RequestStore, problem: errors.Problem) -> None:
    """An effect that ends in a problem."""
    async with store.once(reserve(store)) as tx:
        await tx.execute(SPEND, amount=1)
        raise problem


async def somebody_waits_for_a_lock(database: Database) -> None:
    """Return once a session of this database is blocked by another one."""
    waiting = (
        "SELECT count(*) AS sessions FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.read() as reader:
        while not (await reader.one(waiting))["sessions"]:
            pass
