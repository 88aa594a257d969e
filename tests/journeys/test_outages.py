"""What one part does while another is away: precise errors meanwhile, nothing lost, and recovery by itself."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest

from tests.journeys.books import Books
from tests.journeys.refusals import problem_of, refusal
from tests.journeys.world import STOCKED, Person, World, new_id
from tests.waiting import eventually
from tools.demo import mailbox
from tools.paths import ROOT
from tradewind.catalog.v1 import catalog_service_pb2 as catalog
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

SERVICES = ("identity", "catalog", "inventory", "payments", "orders", "notifications")
MAIL_PATIENCE_SECONDS = 20.0


@pytest.fixture(autouse=True)
async def mended(world: World) -> AsyncIterator[None]:
    """Whatever a test has stopped runs again afterwards."""
    yield
    await world.mend()


@pytest.fixture
def books(world: World) -> Books:
    """What each service keeps."""
    return Books(world.stack)


def an_order(sku: str) -> dict[str, Any]:
    """The JSON of an order with an id of its own, that may be sent again."""
    return {"request_id": new_id(), "items": [{"sku": sku, "quantity": 1}], "payment_token": "tok_approve"}


async def accepted(person: Person, order: dict[str, Any], met: set[tuple[int, str]] | None = None) -> str:
    """The id of an order that is sent until it is accepted, with the same request id; notes the refusals it met."""

    async def place() -> str | None:
        answer = await person.send("POST", "/v1/orders", order)
        if answer.status_code == 200:
            return str(answer.json()["order"]["order_id"])
        if met is not None:
            met.add(refusal(answer))
        return None

    return await eventually(place)


async def step(world: World, order_id: str) -> tuple[str, str]:
    """The step at which an order's saga waits, and what went wrong there; once something has."""

    async def waiting() -> tuple[str, str] | None:
        saga = (await world.saga(order_id)).saga
        return (saga.step, saga.last_reason) if saga.failures else None

    return await eventually(waiting)


async def mails(world: World, person: Person, count: int) -> list[str]:
    """The subjects in somebody's mailbox, once there are so many."""
    folder = world.stack.directory.mail
    return [mail.subject for mail in await mailbox.arrived(folder, person.email, count, MAIL_PATIENCE_SECONDS)]


async def test_the_database_goes_away(world: World, ada: Person, lantern: str, books: Books) -> None:
    """Every service says UNAVAILABLE and why; when it is back they go on, the same processes, with what was accepted."""
    order_id = (await ada.place({lantern: 1}))["order_id"]
    pids = {name: world.stack.pid(name) for name in SERVICES}
    await world.stop("database")

    for answer in await asyncio.gather(
        world.shop.http.get(f"/v1/products/{lantern}"),
        ada.send("GET", "/v1/profile"),
        ada.send("GET", f"/v1/orders/{order_id}"),
        ada.send("GET", "/v1/preferences"),
        ada.send("POST", "/v1/orders", an_order(lantern)),
        world.staff.send("GET", "/v1/ledger-entries"),
        world.shop.http.get(f"/v1/availability?skus={lantern}"),
    ):
        assert refusal(answer) == (503, "DATABASE_UNAVAILABLE"), answer.request.url

    await world.start("database")
    await world.healthy(*SERVICES)
    assert {name: world.stack.pid(name) for name in SERVICES} == pids
    assert (await ada.outcome(order_id)).state == "CONFIRMED"
    assert books.charges()[order_id] == 1


async def test_the_database_is_not_there_yet(world: World, lantern: str) -> None:
    """A service starts without it, says that it is not serving, and serves as soon as it is there."""
    started = ("identity", "catalog", "orders")
    await world.stop("database", *started)
    starting = [asyncio.create_task(asyncio.to_thread(world.stack.start, name)) for name in started]
    stub = catalog.GetProductRequest(sku=lantern)

    async def answers() -> str | None:
        async with grpc.aio.insecure_channel(world.stack.address("catalog")) as channel:
            call = CatalogServiceStub(channel).GetProduct(stub, timeout=5)
            problem = await problem_of(call)
        return problem.reason if problem.reason != "PEER_UNAVAILABLE" else None

    assert await eventually(answers) == "DATABASE_UNAVAILABLE"
    assert not any(task.done() for task in starting)
    await world.start("database")
    await asyncio.gather(*starting)
    assert (await world.shop.http.get(f"/v1/products/{lantern}")).status_code == 200


async def test_the_broker_goes_away(world: World, lantern: str, books: Books) -> None:
    """Orders are taken and seen through, also by a process that starts meanwhile; the mails come when it is back."""
    customer = await world.customer("Brook")
    assert len(await mails(world, customer, 1)) == 1
    await world.stop("broker")
    first = (await customer.place({lantern: 1}))["order_id"]
    assert (await customer.outcome(first)).state == "CONFIRMED"
    await asyncio.to_thread(world.stack.restart, "orders")
    await world.healthy()
    second = await accepted(customer, an_order(lantern))
    assert (await customer.outcome(second)).state == "CONFIRMED"
    assert books.untold("orders") == 4

    await world.start("broker")
    subjects = await mails(world, customer, 3)
    assert sum("confirmed" in subject for subject in subjects) == 2
    assert books.untold("orders") == 0


async def test_the_broker_loses_its_disk(world: World, lantern: str, books: Books) -> None:
    """What nobody had heard yet is told again by a replay, and takes effect once."""
    await world.stop("notifications")
    customer = await world.customer("Diskless")
    order_id = (await customer.place({lantern: 1}))["order_id"]
    assert (await customer.outcome(order_id)).state == "CONFIRMED"
    await _all_told(books, "orders", "identity")

    await world.stop("broker")
    shutil.rmtree(world.stack.directory.broker / "jetstream")
    await world.start("broker", "notifications")
    told_before = books.mails()
    for service in ("identity", "orders"):
        await _replay(world, service)
    assert len(await mails(world, customer, 2)) == 2
    await _all_told(books, "orders", "identity")
    assert books.mails() == {**told_before, order_id: 1}


async def _all_told(books: Books, *services: str) -> None:
    """Returns when the broker has every fact."""

    async def told() -> bool:
        return not any(books.untold(service) for service in services)

    await eventually(told)


async def _replay(world: World, service: str) -> None:
    """Run the tool that tells the facts of the last hour again."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.ops", "replay", service, "--since", "1h"),
        *("--address", world.stack.address(service)),
        cwd=ROOT,
        env={"TRADEWIND_TOKEN": world.staff.token},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert (process.returncode, b"will be published again" in output) == (0, True)


async def test_the_provider_goes_away(world: World, ada: Person, lantern: str, books: Books) -> None:
    """An order waits with its stock held, says what it waits for, and is charged once when the provider is back."""
    await world.stop("provider")
    order_id = (await ada.place({lantern: 1}))["order_id"]
    assert await step(world, order_id) == ("authorize_payment", "PROVIDER_OUTCOME_UNKNOWN")
    assert await world.stock(lantern) == (STOCKED, 1)

    await world.start("provider")
    assert (await ada.outcome(order_id)).state == "CONFIRMED"
    assert books.charges()[order_id] == 1


async def test_the_mail_server_goes_away(world: World) -> None:
    """Mails wait for it, and each is sent once."""
    await world.stop("mail")
    customer = await world.customer("Patient")

    async def tried() -> bool:
        return b"mail_server_away" in world.stack.directory.log("notifications").read_bytes()

    await eventually(tried)
    await world.start("mail")
    assert len(await mails(world, customer, 1)) == 1


@pytest.mark.parametrize(("service", "waits_at"), [("inventory", "reserve_stock"), ("payments", "authorize_payment")])
async def test_a_service_that_sees_orders_through_goes_away(
    world: World, ada: Person, lantern: str, service: str, waits_at: str
) -> None:
    """Orders are accepted all the same, and wait for it."""
    await world.stop(service)
    order_id = (await ada.place({lantern: 1}))["order_id"]
    assert (await step(world, order_id))[0] == waits_at
    await world.start(service)
    assert (await ada.outcome(order_id)).state == "CONFIRMED"


async def test_the_catalogue_goes_away(world: World, ada: Person, lantern: str) -> None:
    """No order without a price: UNAVAILABLE at once, and the same request is good when the catalogue is back."""
    await world.stop("catalog")
    order = an_order(lantern)
    before = (await ada.get("/v1/orders"))["orders"]
    refused, product = await asyncio.gather(
        ada.send("POST", "/v1/orders", order), world.shop.http.get(f"/v1/products/{lantern}")
    )
    assert refusal(refused) == (503, "PEER_UNAVAILABLE")
    assert refusal(product) == (503, "SERVICE_UNAVAILABLE")
    assert (await ada.get("/v1/orders"))["orders"] == before

    await world.start("catalog")
    assert (await ada.outcome(await accepted(ada, order))).state == "CONFIRMED"


@pytest.mark.parametrize("victim", ["orders", "payments", "inventory", "provider", "database", "broker"])
async def test_a_process_is_killed_in_the_middle(world: World, victim: str, books: Books) -> None:
    """Whoever asks again with the same request id has ordered once; every order ends, and the books balance."""
    sku, customer = await world.sell(), await world.customer(victim.capitalize())
    wishes = [an_order(sku) for _ in range(12)]
    met: set[tuple[int, str]] = set()
    placing: list[Awaitable[str]] = [asyncio.ensure_future(accepted(customer, wish, met)) for wish in wishes]
    await asyncio.to_thread(world.stack.kill, victim)
    order_ids = await asyncio.gather(*placing)
    await world.healthy(victim, *SERVICES)

    outcomes = await asyncio.gather(*(customer.outcome(order_id) for order_id in order_ids))
    assert {outcome.state for outcome in outcomes} == {"CONFIRMED"}
    assert {status for status, _ in met} <= {503, 504}, met  # Nothing was done; or nobody knows, until asked again.
    assert {order["order_id"] for order in (await customer.get("/v1/orders"))["orders"]} == set(order_ids)
    assert len(set(order_ids)) == len(wishes)
    assert await world.stock(sku) == (STOCKED - len(wishes), 0)
    books.check(sku)
