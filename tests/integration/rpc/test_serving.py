"""What happens to every call on its way to a servicer, and to whatever comes out of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY

from chassis.contract import status
from chassis.contract.descriptors import ContractError
from chassis.core import deadline, errors
from chassis.process.runtime import Service
from chassis.testing import refused
from chassis.testing.service import running
from tests.integration.rpc import frames
from tests.integration.rpc.stub import ORDER_ID, InventoryServiceStub, Stub, availability, pb, reservation, serving


class Postponed(errors.FailedPrecondition):
    """An error of a service."""

    reason = "POSTPONED"


@pytest.fixture
def database_url(new_database: Any) -> str:
    """A database for the stub."""
    return new_database("inventory")


@pytest.mark.parametrize("problem_type", errors.BY_KIND.values(), ids=lambda t: t.__name__)
async def test_a_problem_arrives_with_its_code_reason_and_metadata(database_url: str, problem_type: Any) -> None:
    """Whatever a servicer raises of the tree, the caller can raise the very same again."""

    async def fail(_request: Any, _call: Any) -> None:
        raise problem_type("it is raining", reason="RAIN", where="Leeds")

    async with serving(database_url, Stub(GetAvailability=fail)) as service:
        with refused(problem_type, "RAIN") as refusal:
            await InventoryServiceStub(service.channel()).GetAvailability(availability())
    assert refusal.problem is not None
    assert (refusal.problem.message, refusal.problem.metadata) == ("it is raining", {"where": "Leeds"})


async def test_a_problem_says_when_to_try_again(database_url: str) -> None:
    """RetryInfo is there where a retry can help."""

    async def fail(_request: Any, _call: Any) -> None:
        raise errors.Unavailable("later", retry_after=timedelta(seconds=3))

    async with serving(database_url, Stub(GetAvailability=fail)) as service:
        with refused(errors.Unavailable, "UNAVAILABLE") as refusal:
            await InventoryServiceStub(service.channel()).GetAvailability(availability())
    assert refusal.problem is not None
    assert refusal.problem.retry_after == timedelta(seconds=3)


async def test_a_bug_is_internal_and_tells_only_its_id(database_url: str) -> None:
    """What went wrong is in the log under that id, and nowhere else."""

    async def fail(_request: Any, _call: Any) -> None:
        raise ZeroDivisionError("secret inner text")

    async with serving(database_url, Stub(GetAvailability=fail)) as service:
        with refused(errors.Internal, "INTERNAL") as refusal:
            await InventoryServiceStub(service.channel()).GetAvailability(availability())
    assert refusal.problem is not None
    assert "secret" not in str(refusal.problem)
    assert refusal.problem.metadata["error_id"] in refusal.problem.message


async def test_a_cancellation_the_caller_did_not_ask_for_is_a_bug(database_url: str) -> None:
    """Of some work the servicer waits for. Left as it is, the caller would not be answered at all."""

    async def fail(_request: Any, _call: Any) -> None:
        work = asyncio.ensure_future(asyncio.Event().wait())
        work.cancel()
        await work

    async with serving(database_url, Stub(GetAvailability=fail)) as service:
        with refused(errors.Internal, "INTERNAL"):
            await InventoryServiceStub(service.channel()).GetAvailability(availability(), timeout=5)


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\x02\xc3\x28"], ids=["no protobuf", "invalid UTF-8"])
async def test_bytes_that_are_no_request_are_refused(database_url: str, garbage: bytes) -> None:
    """Garbage is the caller's mistake, and is told as such."""
    async with serving(database_url) as service:
        call = service.channel().unary_unary("/tradewind.inventory.v1.InventoryService/GetAvailability")
        with refused(errors.InvalidArgument, "REQUEST_MALFORMED"):
            await call(garbage)


async def test_every_violation_is_told_with_its_path(database_url: str) -> None:
    """A form can be mended in one go."""
    bad = reservation(order_id="x", lines=[{"sku": "A", "quantity": 1}, {"sku": "not a sku", "quantity": -1}])
    async with serving(database_url) as service:
        with refused(errors.InvalidArgument, "REQUEST_INVALID") as refusal:
            await InventoryServiceStub(service.channel(peer="orders")).ReserveStock(bad)
    assert isinstance(refusal.problem, errors.InvalidArgument)
    assert {v.field for v in refusal.problem.violations} == {"order_id", "lines[1].sku", "lines[1].quantity"}


async def test_a_request_wrong_in_every_line_is_told_so_in_what_a_client_takes(database_url: str) -> None:
    """Of longer statuses than eight kibibytes, some reach their callers as RESOURCE_EXHAUSTED: gRPC draws lots."""
    lines = [{"sku": f"no sku {number}", "quantity": -1} for number in range(100)]
    async with serving(database_url) as service:
        with refused(errors.InvalidArgument, "REQUEST_INVALID") as refusal:
            await InventoryServiceStub(service.channel(peer="orders")).ReserveStock(reservation(lines=lines))
    assert isinstance(refusal.problem, errors.InvalidArgument)
    assert len(refusal.problem.violations) > 10
    assert status.to_status(refusal.problem).ByteSize() < 8192


async def test_a_bad_message_in_a_stream_ends_it_there(database_url: str) -> None:
    """What came before it has been answered."""
    lines = [pb.AdjustStockRequest(request_id=ORDER_ID, sku="A", delta=1), pb.AdjustStockRequest(sku="A", delta=0)]
    async with serving(database_url) as service:
        stream = InventoryServiceStub(service.channel(token=service.tokens.staff())).AdjustStock(lines)
        assert (await stream.read()).request_id == ORDER_ID
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await stream.read()


async def test_a_stream_that_is_closed_without_a_message_is_no_error(database_url: str) -> None:
    """Half-closed at once: there was nothing to do."""
    async with serving(database_url) as service:
        stream = InventoryServiceStub(service.channel(token=service.tokens.staff())).AdjustStock([])
        assert [answer async for answer in stream] == []


async def test_a_message_too_large_is_refused_before_it_is_read(database_url: str) -> None:
    """The limit is a setting; gRPC itself enforces it."""
    async with serving(database_url, max_message_bytes=1000) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await InventoryServiceStub(service.channel()).GetAvailability(availability("A" * 2000))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_callers_deadline_binds_the_work(database_url: str) -> None:
    """The servicer never has more time than its caller, nor than its policy allows."""
    seen: list[float | None] = []

    async def look(_request: Any, _call: Any) -> pb.GetAvailabilityResponse:
        seen.append(deadline.remaining())
        return pb.GetAvailabilityResponse()

    async with serving(database_url, Stub(GetAvailability=look)) as service:
        stub = InventoryServiceStub(service.channel())
        for timeout in (0.5, 60.0, None):
            await stub.GetAvailability(availability(), timeout=timeout)
    hurried, patient, unbounded = (left or 0.0 for left in seen)
    assert 0 < hurried <= 0.5
    assert 0.5 < patient <= 1.0, "the policy of the method says one second"
    assert 0.5 < unbounded <= 1.0


async def test_work_that_takes_too_long_ends_as_deadline_exceeded(database_url: str) -> None:
    """The policy ends it even when the caller set no deadline."""
    ended = asyncio.Event()

    async def hang(_request: Any, _call: Any) -> pb.GetAvailabilityResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serving(database_url, Stub(GetAvailability=hang)) as service:
        with refused(errors.DeadlineExceeded, "DEADLINE_EXCEEDED"):
            await InventoryServiceStub(service.channel()).GetAvailability(availability())
    assert ended.is_set()


async def test_a_deadline_of_a_millisecond_changes_nothing(database_url: str) -> None:
    """Nothing is begun that cannot be finished."""
    async with serving(database_url) as service:
        stub = InventoryServiceStub(service.channel(peer="orders"))
        for _ in range(20):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.ReserveStock(reservation(), timeout=0.001)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with service.database.read() as database:
            assert await database.all("SELECT * FROM request") == []


async def test_a_call_too_many_is_shed_while_streams_go_on(database_url: str) -> None:
    """Calls and streams have bounds of their own."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _call: Any) -> pb.GetAvailabilityResponse:
        entered.set()
        await leave.wait()
        return pb.GetAvailabilityResponse()

    async with serving(database_url, Stub(GetAvailability=wait), max_concurrent_calls=1) as service:
        stub = InventoryServiceStub(service.channel(token=service.tokens.staff()))
        first = asyncio.ensure_future(stub.GetAvailability(availability()))
        await entered.wait()
        with refused(errors.ResourceExhausted, "SERVER_BUSY") as refusal:
            await stub.GetAvailability(availability())
        assert [answer async for answer in stub.AdjustStock([])] == []
        leave.set()
        await first
        await stub.GetAvailability(availability())
    assert refusal.problem is not None
    assert refusal.problem.retry_after is not None


async def test_calls_are_counted_by_their_code(database_url: str) -> None:
    """The names are grpc-prometheus's, so that its dashboards fit."""
    labels = {
        "grpc_type": "unary",
        "grpc_service": "tradewind.inventory.v1.InventoryService",
        "grpc_method": "GetAvailability",
    }

    def handled(code: str) -> float:
        return REGISTRY.get_sample_value("grpc_server_handled_total", {**labels, "grpc_code": code}) or 0.0

    before = handled("OK"), handled("INVALID_ARGUMENT")
    async with serving(database_url) as service:
        stub = InventoryServiceStub(service.channel())
        await stub.GetAvailability(availability())
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await stub.GetAvailability(pb.GetAvailabilityRequest())
    assert (handled("OK"), handled("INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)


async def test_a_call_is_one_log_line_without_its_body_or_token(database_url: str, capfdbinary: Any) -> None:
    """Code, duration, who and which request: enough to find it, nothing to steal."""
    async with serving(database_url, log_level="info") as service:
        token = service.tokens.customer("user-1")
        stub = InventoryServiceStub(service.channel(token=token, x_request_id="morning-4711"))
        await stub.GetAvailability(availability("SECRET-SKU"))
    out = capfdbinary.readouterr().out
    lines = [json.loads(line) for line in out.splitlines() if b'"chassis.access"' in line]
    assert len(lines) == 1
    assert {k: lines[0][k] for k in ("event", "code", "request_id", "principal", "service")} == {
        "event": "call",
        "code": "OK",
        "request_id": "morning-4711",
        "principal": "user-1",
        "service": "inventory",
    }
    assert lines[0]["ms"] > 0
    assert b"SECRET-SKU" not in out
    assert token.encode() not in out


async def test_metadata_that_is_no_text_is_not_logged(database_url: str, capfdbinary: Any) -> None:
    """A token with a slip in it is a token all the same; and a stranger's letters are no error of ours."""
    path, message = "/tradewind.inventory.v1.InventoryService/GetAvailability", availability().SerializeToString()
    async with serving(database_url) as service:
        await frames.call(service.target, path, message, {"authorization": b"Bearer HUNTER2\xff"})
    assert capfdbinary.readouterr().out == b""


async def test_a_method_the_servicer_lacks_stops_the_start(database_url: str) -> None:
    """Found when the process starts, not when somebody calls."""
    with pytest.raises(ContractError, match="object has no ReserveStock"):
        async with running(
            lambda _: Service(servicers={"tradewind.inventory.v1.InventoryService": object()}),
            "services.inventory",
            database_url=database_url,
        ):
            raise AssertionError


async def test_draining_says_so_first_and_finishes_what_runs(database_url: str) -> None:
    """Whoever watches health goes elsewhere; the call under way is answered."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _call: Any) -> pb.GetAvailabilityResponse:
        entered.set()
        await leave.wait()
        return pb.GetAvailabilityResponse()

    async with serving(database_url, Stub(GetAvailability=wait)) as service:
        states = _watched(health_pb2_grpc.HealthStub(service.channel()))
        while await anext(states) != health_pb2.HealthCheckResponse.SERVING:
            continue
        running_call = asyncio.ensure_future(InventoryServiceStub(service.channel()).GetAvailability(availability()))
        await entered.wait()
        stopping = asyncio.create_task(service.stop())
        assert await anext(states) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not running_call.done()
        leave.set()
        assert await running_call == pb.GetAvailabilityResponse()
        await stopping


async def _watched(stub: health_pb2_grpc.HealthStub) -> AsyncIterator[int]:
    async for answer in stub.Watch(health_pb2.HealthCheckRequest()):
        yield answer.status


async def test_the_details_are_google_rpcs(database_url: str) -> None:
    """Any gRPC client reads them: a google.rpc.Status in `grpc-status-details-bin`, ErrorInfo of domain tradewind.dev."""

    async def fail(_request: Any, _call: Any) -> None:
        raise Postponed("not today")

    async with serving(database_url, Stub(GetAvailability=fail)) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await InventoryServiceStub(service.channel()).GetAvailability(availability())
    trailers = dict(raised.value.trailing_metadata() or ())
    sent = status_pb2.Status.FromString(trailers[status.DETAILS_KEY])
    info = error_details_pb2.ErrorInfo()
    assert sent.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("POSTPONED", "tradewind.dev")


async def test_a_change_that_is_not_remembered_is_a_bug(database_url: str) -> None:
    """A servicer that forgets `call.once()` is found by its first call, not by its first duplicate."""

    async def forget(_request: Any, _call: Any) -> pb.ReserveStockResponse:
        return pb.ReserveStockResponse()

    async with serving(database_url, Stub(ReserveStock=forget)) as service:
        with refused(errors.Internal, "INTERNAL"):
            await InventoryServiceStub(service.channel(peer="orders")).ReserveStock(reservation())
