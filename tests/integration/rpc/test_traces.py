"""Spans: every one that is opened is closed, with how it ended; unsampled calls open none."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode

from chassis.core import errors
from chassis.rpc.call import Call
from chassis.testing import refused
from tests.integration.rpc.stub import InventoryServiceStub, Stub, availability, pb, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


class Spans(SpanProcessor):
    """Keeps what was opened and what was closed."""

    def __init__(self) -> None:
        self.opened: list[Span] = []
        self.closed: list[ReadableSpan] = []
        self.provider = TracerProvider()
        self.provider.add_span_processor(self)

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """A span was opened."""
        self.opened.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        """A span was closed."""
        self.closed.append(span)


@pytest.fixture
def database_url(new_database: Any) -> str:
    """A database for the stub."""
    return new_database("inventory")


async def test_an_answered_call_is_a_span_of_its_callers_trace(database_url: str) -> None:
    """With the conventional name and attributes."""
    spans = Spans()
    async with serving(database_url, spans=spans.provider) as service:
        await InventoryServiceStub(service.channel(traceparent=SAMPLED)).GetAvailability(availability())
    (span,) = spans.closed
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.name == "tradewind.inventory.v1.InventoryService/GetAvailability"
    assert span.attributes is not None
    assert (span.attributes["rpc.system"], span.attributes["rpc.grpc.status_code"]) == ("grpc", 0)
    assert span.status.status_code is not StatusCode.ERROR


@pytest.mark.parametrize(
    ("raised", "code", "is_error"),
    [
        (errors.NotFound("no"), 5, False),
        (errors.Unavailable("later"), 14, True),
        (ZeroDivisionError("inner text"), 13, True),
    ],
    ids=["refusal", "failure", "bug"],
)
async def test_a_failed_call_is_a_span_that_says_so(
    database_url: str, raised: Exception, code: int, is_error: bool
) -> None:
    """A refusal is no error of the server; a failure and a bug are, and the bug's inner text stays out of the span."""
    spans = Spans()

    async def fail(_request: Any, _call: Any) -> None:
        raise raised

    async with serving(database_url, Stub(GetAvailability=fail), spans=spans.provider) as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await InventoryServiceStub(service.channel(traceparent=SAMPLED)).GetAvailability(availability())
    (span,) = spans.closed
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status_code"] == code
    assert (span.status.status_code is StatusCode.ERROR) == is_error
    assert "inner text" not in span.to_json()


async def test_a_cancelled_call_is_closed_too(database_url: str) -> None:
    """A call and a stream whose callers give up in the middle leave no span open."""
    spans = Spans()
    entered = asyncio.Event()

    async def hang(_request: Any, _call: Any) -> pb.GetAvailabilityResponse:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def answer_and_hang(requests: Any, _call: Any) -> AsyncIterator[pb.AdjustStockResponse]:
        async for _ in requests:
            yield pb.AdjustStockResponse()
            await asyncio.Event().wait()

    async with serving(
        database_url, Stub(GetAvailability=hang, AdjustStock=answer_and_hang), spans=spans.provider
    ) as service:
        call = InventoryServiceStub(service.channel(traceparent=SAMPLED)).GetAvailability(availability())
        waiting = asyncio.ensure_future(call)
        await entered.wait()
        waiting.cancel()
        stream = InventoryServiceStub(service.channel(traceparent=SAMPLED, token=service.tokens.staff())).AdjustStock()
        await stream.write(pb.AdjustStockRequest(request_id=TRACE_AS_UUID, sku="A", delta=1))
        await stream.read()
        stream.cancel()
        await service.stop()
    assert len(spans.opened) == 2
    assert {s.context.span_id for s in spans.closed} == {s.context.span_id for s in spans.opened}
    assert [s.status.status_code for s in spans.closed] == [StatusCode.ERROR] * 2


TRACE_AS_UUID = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"


async def test_an_unsampled_call_opens_no_span(database_url: str) -> None:
    """It costs next to nothing, whatever else the caller does."""
    spans = Spans()
    async with serving(database_url, spans=spans.provider, trace_sample_ratio=1.0) as service:
        await InventoryServiceStub(service.channel(traceparent=UNSAMPLED)).GetAvailability(availability())
        assert spans.opened == []
        await InventoryServiceStub(service.channel()).GetAvailability(availability())
        assert len(spans.opened) == 1, "without a caller's decision the ratio decides"


async def test_a_broken_trace_context_is_no_reason_to_fail(database_url: str) -> None:
    """Whatever a caller sends as its trace, the call is answered."""
    async with serving(database_url) as service:
        for broken in ("", "x", "-" * 55, "00-zz-zz-01", f"00-{'<' * 32}-{'>' * 16}-01"):
            await InventoryServiceStub(service.channel(traceparent=broken)).GetAvailability(availability())
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await InventoryServiceStub(service.channel(traceparent="x")).GetAvailability(pb.GetAvailabilityRequest())


async def test_who_sends_a_trace_of_zeros_is_in_none(database_url: str) -> None:
    """They say so by the W3C's rules; taken for a trace, it would be one and the same for everybody who does."""
    heard: list[str] = []

    async def listen(_request: Any, call: Call) -> pb.GetAvailabilityResponse:
        heard.append(call.traceparent)
        return pb.GetAvailabilityResponse()

    async with serving(database_url, Stub(GetAvailability=listen)) as service:
        for given in (f"00-{'0' * 32}-{'1' * 16}-00", f"00-{'1' * 32}-{'0' * 16}-00"):
            await InventoryServiceStub(service.channel(traceparent=given)).GetAvailability(availability())
            assert heard[-1] != given
