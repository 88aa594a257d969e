"""Orders when the process that drives them dies, or sleeps, at the worst instants."""

import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import grpc
import pytest

from tests.conftest import NewDatabase
from tests.integration.orders.shop import STOCKED, Shop, steps
from tests.integration.processes import KILLED, process, secrets
from tradewind.orders.v1.order_pb2 import ORDER_STATE_CANCELLED, ORDER_STATE_CONFIRMED

STEPS = ("reserve_stock", "authorize_payment", "capture_payment", "commit_stock")
EDGES = ("before", "after", "recorded")
HEARTBEAT = {"SAGA_LEASE_SECONDS": "0.5", "SAGA_POLL_SECONDS": "0.05"}


@pytest.fixture
async def counter(shop: Shop, new_database: NewDatabase) -> AsyncIterator[Shop]:
    """A shop whose orders are accepted by a process that sees none of them through."""
    async with shop.with_orders_of_its_own(new_database("orders"), saga_concurrency="0") as it:
        yield it


def driver(
    shop: Shop, directory: Path, **settings: str
) -> AbstractAsyncContextManager[tuple[Process, grpc.aio.Channel]]:
    """A process that sees orders through, until it dies."""
    told = {name.upper(): value for name, value in shop.settings.items()}
    files = secrets(directory / "secrets", shop.orders_url)
    return process("services.orders", directory / "orders.sock", SECRETS_DIR=files, **told, **HEARTBEAT, **settings)


async def seen_through(shop: Shop, order_id: str) -> list[str]:
    """What has happened to an order once another process has seen it through."""
    async with shop.another(**{name.lower(): value for name, value in HEARTBEAT.items()}):
        return steps(await shop.watch(order_id))


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("step", STEPS)
async def test_an_order_survives_its_process_on_its_way(counter: Shop, tmp_path: Path, step: str, edge: str) -> None:
    """Killed before a step, after its effect, or after that was written: charged once, and taken from the shelf once."""
    async with driver(counter, tmp_path, FAILPOINTS=f"checkout.{step}.{edge}=kill") as (victim, _):
        order_id = (await counter.place()).order_id
        assert await victim.wait() == KILLED
    happened = await seen_through(counter, order_id)

    assert happened == [
        "PLACED",
        "STOCK_RESERVED",
        "PAYMENT_AUTHORIZED",
        "PAYMENT_CAPTURED",
        "STOCK_COMMITTED",
        "CONFIRMED",
    ]
    assert (await counter.get(order_id)).state == ORDER_STATE_CONFIRMED
    assert await counter.stock() == (STOCKED - 1, 0)
    assert await counter.payment(order_id) == "CAPTURED"
    assert sorted(entry.amount.minor_units for entry in await counter.ledger(order_id)) == [-250, 250]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("step", STEPS[:3])
async def test_an_order_survives_its_process_on_its_way_back(
    counter: Shop, tmp_path: Path, step: str, edge: str
) -> None:
    """The capture's answer is lost, so all is undone; killed at any edge of that: nothing of the order remains."""
    failpoints = f"checkout.capture_payment.after=error,checkout.{step}.undo.{edge}=kill"
    async with driver(counter, tmp_path, SAGA_PATIENCE="1", FAILPOINTS=failpoints) as (victim, _):
        order_id = (await counter.place()).order_id
        assert await victim.wait() == KILLED
    happened = await seen_through(counter, order_id)

    assert happened[-5:] == ["CANCELLING", "PAYMENT_REFUNDED", "PAYMENT_VOIDED", "STOCK_RELEASED", "CANCELLED"]
    assert (await counter.get(order_id)).state == ORDER_STATE_CANCELLED
    assert await counter.stock() == (STOCKED, 0)
    assert await counter.payment(order_id) == "REFUNDED"
    assert sum(entry.amount.minor_units for entry in await counter.ledger(order_id)) == 0


@pytest.mark.parametrize(
    ("step", "before"), [("authorize_payment", "STOCK_RESERVED"), ("capture_payment", "PAYMENT_AUTHORIZED")]
)
async def test_a_process_that_slept_longer_than_its_lease_changes_nothing(
    counter: Shop, tmp_path: Path, step: str, before: str
) -> None:
    """Stopped after a step's effect and woken when another process has seen the order through, it goes on with others."""
    async with driver(counter, tmp_path, FAILPOINTS=f"checkout.{step}.after=pause") as (sleeper, _):
        order_id = (await counter.place()).order_id
        happened = await seen_through(counter, order_id)
        sleeper.send_signal(signal.SIGCONT)
        await counter.came_to((await counter.place()).order_id, before)
        events = steps(await counter.watch(order_id))

    assert happened[-1] == "CONFIRMED"
    assert events == happened
    assert len(await counter.ledger(order_id)) == 2
