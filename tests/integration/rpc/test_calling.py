"""Calls from one service to another: declared, bounded, retried, guarded, and carrying who asked for what."""

import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis.contract import manifest
from chassis.core import deadline, errors
from chassis.core.settings import RuntimeSettings
from chassis.rpc import channel
from chassis.rpc.call import Call
from chassis.rpc.traces import Traces
from chassis.testing import RunningService, Tokens
from tests.integration.rpc.stub import ORDER_ID, InventoryServiceStub, Stub, availability, pb, reservation, serving
from tools.stack.addresses import free_port


@pytest.fixture
def database_url(new_database: Any) -> str:
    """A database for the stub."""
    return new_database("inventory")


@asynccontextmanager
async def dialled(service: RunningService, **settings: Any) -> AsyncIterator[InventoryServiceStub]:
    """Inventory, as orders reaches it: through the chassis's own channel."""
    own = RuntimeSettings(**settings)
    manifested = manifest.of_package("services.orders")
    async with channel.connect("inventory", service.target, manifested, own, Traces(0, None), None) as dialling:
        yield InventoryServiceStub(dialling)


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, problem: errors.Problem) -> None:
        self.failures = failures
        self.problem = problem
        self.calls = 0

    async def __call__(self, _request: Any, call: Call) -> pb.ReserveStockResponse:
        """One attempt."""
        self.calls += 1
        if self.calls <= self.failures:
            raise self.problem
        async with call.once() as tx:
            return tx.reply(pb.ReserveStockResponse())


DOWN = errors.Unavailable("the database is away", reason="DATABASE_UNAVAILABLE")


async def test_a_call_the_manifest_does_not_name_is_refused_before_it_is_made(database_url: str) -> None:
    """A new dependency shows in a diff of service.yaml, or not at all."""
    async with serving(database_url) as service, dialled(service) as stub:
        with pytest.raises(errors.PermissionDenied, match=r"does not name .*GetReservation"):
            await stub.GetReservation(pb.GetReservationRequest(order_id=ORDER_ID))


async def test_no_call_is_made_in_the_middle_of_a_transaction(database_url: str) -> None:
    """Its locks would be held for as long as the peer takes."""
    async with serving(database_url) as service, dialled(service) as stub, service.database.transaction():
        with pytest.raises(RuntimeError, match="in the middle of a transaction"):
            await stub.ReserveStock(reservation())


async def test_a_refusal_is_raised_as_the_problem_it_is(database_url: str) -> None:
    """Reason and metadata survive the wire, and a refusal is asked for once."""
    refusing = Flaky(99, errors.FailedPrecondition("too few", reason="OUT_OF_STOCK", LAMP="0"))
    async with serving(database_url, Stub(ReserveStock=refusing)) as service, dialled(service) as stub:
        with pytest.raises(errors.FailedPrecondition) as raised:
            await stub.ReserveStock(reservation())
    assert (raised.value.reason, raised.value.metadata) == ("OUT_OF_STOCK", {"LAMP": "0"})
    assert refusing.calls == 1


async def test_a_peer_that_is_away_is_told_of_without_its_address() -> None:
    """The problem goes on to whoever called us; where our peers live is for the log."""
    target = f"ipv4:127.0.0.1:{free_port()}"
    manifested = manifest.of_package("services.orders")
    async with channel.connect("inventory", target, manifested, RuntimeSettings(), Traces(0, None), None) as dialling:
        with pytest.raises(errors.Unavailable) as raised:
            await InventoryServiceStub(dialling).ReserveStock(reservation(), timeout=1)
    assert raised.value.reason == "PEER_UNAVAILABLE"
    assert "127.0.0.1" not in raised.value.message


async def test_what_is_unavailable_is_tried_again(database_url: str) -> None:
    """By gRPC itself, with backoff, since the contract says the method is idempotent."""
    flaky = Flaky(2, DOWN)
    async with serving(database_url, Stub(ReserveStock=flaky)) as service, dialled(service) as stub:
        assert await stub.ReserveStock(reservation()) == pb.ReserveStockResponse()
    assert flaky.calls == 3


async def test_where_the_mesh_retries_we_do_not(database_url: str) -> None:
    """Two layers that both retry make a dozen calls of one."""
    flaky = Flaky(1, DOWN)
    async with serving(database_url, Stub(ReserveStock=flaky)) as service, dialled(service, retries="mesh") as stub:
        with pytest.raises(errors.Unavailable, match="the database is away"):
            await stub.ReserveStock(reservation())
    assert flaky.calls == 1


async def test_a_deadline_shrinks_on_its_way_down(database_url: str) -> None:
    """The callee has less time than its caller has left, whatever its policy would allow."""
    seen: list[float] = []

    async def look(_request: Any, call: Call) -> pb.ReserveStockResponse:
        seen.append(deadline.remaining() or 0.0)
        async with call.once() as tx:
            return tx.reply(pb.ReserveStockResponse())

    async with serving(database_url, Stub(ReserveStock=look)) as service, dialled(service) as stub:
        async with deadline.timeout(0.4):
            await stub.ReserveStock(reservation())
        async with deadline.timeout(deadline.MARGIN_SECONDS):
            with pytest.raises(errors.DeadlineExceeded, match="no time is left"):
                await stub.ReserveStock(reservation())
    assert len(seen) == 1
    assert 0 < seen[0] < 0.4


async def test_a_failing_peer_is_left_alone_until_it_answers_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The circuit opens after failures in a row, is probed after a while, and closes with a success."""
    clock = [1000.0]
    monkeypatch.setattr("purgatory.domain.model.time", types.SimpleNamespace(time=lambda: clock[0]))
    flaky = Flaky(10, DOWN)

    def state() -> float | None:
        return REGISTRY.get_sample_value("circuit_breaker_state", {"peer": "inventory"})

    async with serving(database_url, Stub(ReserveStock=flaky)) as service, dialled(service, retries="mesh") as stub:
        for _ in range(10):
            with pytest.raises(errors.Unavailable, match="the database is away"):
                await stub.ReserveStock(reservation())
        assert state() == 2
        with pytest.raises(errors.Unavailable) as raised:
            await stub.ReserveStock(reservation())
        assert raised.value.reason == "PEER_CIRCUIT_OPEN"
        assert flaky.calls == 10, "the peer was not asked"
        clock[0] += 3
        await stub.ReserveStock(reservation())
        assert state() == 0


async def test_refusals_open_no_circuit(database_url: str) -> None:
    """A peer that says no is well."""
    refusing = Flaky(20, errors.FailedPrecondition("no"))
    async with serving(database_url, Stub(ReserveStock=refusing)) as service, dialled(service) as stub:
        for _ in range(20):
            with pytest.raises(errors.FailedPrecondition):
                await stub.ReserveStock(reservation())
        await stub.ReserveStock(reservation())


async def test_a_call_says_who_makes_it_for_which_request_and_trace(new_database: Any, tokens: Tokens) -> None:
    """One request id and one trace through every service; the user's token only where the peer asks for one."""
    heard: list[Call] = []

    async def listen(_request: Any, call: Call) -> pb.ReserveStockResponse:
        heard.append(call)
        async with call.once() as tx:
            return tx.reply(pb.ReserveStockResponse())

    back_url, front_url = new_database("inventory"), new_database("inventory")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with serving(back_url, Stub(ReserveStock=listen)) as back, dialled(back) as stub:

        async def forward(_request: Any, _call: Call) -> pb.GetAvailabilityResponse:
            await stub.ReserveStock(reservation())
            return pb.GetAvailabilityResponse()

        async with serving(front_url, Stub(GetAvailability=forward), tokens=tokens) as front:
            told = {"x_request_id": "morning-4711", "traceparent": f"00-{trace}-00f067aa0ba902b7-00"}
            front_channel = front.channel(token=tokens.customer("user-1"), **told)
            await InventoryServiceStub(front_channel).GetAvailability(availability())
    assert (heard[0].peer, heard[0].request_id) == ("orders", "morning-4711")
    assert heard[0].traceparent.split("-")[1] == trace
    assert heard[0].principal is None, "inventory does not ask orders for its user"
