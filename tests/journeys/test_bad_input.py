"""Whatever comes in that should not: a precise error each, and nothing has changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from chassis.core import errors
from tests.journeys.refusals import code_of, obstacles, problem_of, refusal, violations
from tests.journeys.world import Person, World, new_id
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.inventory.v1 import inventory_service_pb2 as inventory
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.orders.v1 import order_service_pb2 as orders
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub

MALFORMED = (400, "REQUEST_MALFORMED")
INVALID = (400, "REQUEST_INVALID")
PLACE_ORDER = "/tradewind.orders.v1.OrderService/PlaceOrder"


@pytest.fixture(autouse=True)
async def no_order_is_placed(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Whatever Ada is refused, she has as many orders afterwards as before."""
    ada: Person = request.getfixturevalue("ada")
    before = (await ada.get("/v1/orders"))["orders"]
    yield
    assert (await ada.get("/v1/orders"))["orders"] == before


def an_order(sku: str = "UNSEEN", quantity: Any = 1, **others: Any) -> dict[str, Any]:
    """The JSON of an order."""
    return {"items": [{"sku": sku, "quantity": quantity}], "payment_token": "tok_approve", **others}


def a_request(sku: str, request_id: str = "") -> orders.PlaceOrderRequest:
    """The message of an order."""
    items = [orders.ItemToOrder(sku=sku, quantity=1)]
    return orders.PlaceOrderRequest(request_id=request_id or new_id(), items=items, payment_token="tok_approve")


async def test_fields_nobody_knows_are_refused(ada: Person, lantern: str) -> None:
    """A misspelt field must not be taken for one that was left out, however deep it lies."""
    for body in (an_order(lantern, coupon="HALF"), {"items": [{"sku": lantern, "quantitty": 3}]}):
        assert refusal(await ada.send("POST", "/v1/orders", body)) == MALFORMED


@pytest.mark.parametrize("content", [b'{"payment_token": "\xff\xfe"}', b'{"items": [', b"[]", b"\x00", b'"text"'])
async def test_what_is_no_json_is_refused(ada: Person, content: bytes) -> None:
    """Broken UTF-8, half a document, or a document of another kind."""
    assert refusal(await ada.shop.http.post("/v1/orders", headers=ada.headers, content=content)) == MALFORMED


async def test_a_body_that_is_too_large_is_refused(ada: Person) -> None:
    """Before it is read to its end."""
    answer = await ada.shop.http.post("/v1/orders", headers=ada.headers, content=b" " * (2 * 1024 * 1024))
    assert refusal(answer) == (413, "REQUEST_TOO_LARGE")


async def test_a_message_that_is_too_large_is_refused(ada: Person) -> None:
    """Native gRPC is bounded by the service."""
    request = orders.PlaceOrderRequest(payment_token="x" * (5 * 1024 * 1024))
    call = OrderServiceStub(ada.shop.channel).PlaceOrder(request, metadata=ada.metadata, timeout=10)
    assert await code_of(call) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("content", [b"\x1a\x02\xff\xfe", b"\xff\xff\xff\xff", b"\x0a\xff\x01"])
async def test_bytes_that_are_no_message_are_refused(ada: Person, content: bytes) -> None:
    """A text that is not UTF-8, a tag that is none, a length beyond the end: over native gRPC nothing looks before us."""
    problem = await problem_of(ada.shop.channel.unary_unary(PLACE_ORDER)(content, metadata=ada.metadata, timeout=5))
    assert (type(problem), problem.reason) == (errors.InvalidArgument, "REQUEST_MALFORMED")


@pytest.mark.parametrize("quantity", [0, -1, 10_001, "9223372036854775807"])
async def test_quantities_out_of_bounds_are_refused(ada: Person, lantern: str, quantity: Any) -> None:
    """None, fewer than none, and more than anybody could mean."""
    answer = await ada.send("POST", "/v1/orders", an_order(lantern, quantity))
    assert (refusal(answer), violations(answer)) == (INVALID, ["items[0].quantity"])


@pytest.mark.parametrize("quantity", ["9223372036854775808", 1.5, "many", [1]])
async def test_quantities_that_are_no_whole_numbers_are_refused(ada: Person, lantern: str, quantity: Any) -> None:
    """One more than fits, a part of a piece, a word."""
    assert refusal(await ada.send("POST", "/v1/orders", an_order(lantern, quantity))) == MALFORMED


async def test_every_field_at_fault_is_named(ada: Person) -> None:
    """Whoever mends a form mends it once."""
    body = {"request_id": "mine", "items": [{"sku": "", "quantity": 1}, {"sku": "A B", "quantity": -5}]}
    answer = await ada.send("POST", "/v1/orders", {**body, "payment_token": "4242 4242 4242 4242"})
    assert refusal(answer) == INVALID
    named = {"request_id", "items[0].sku", "items[1].sku", "items[1].quantity", "payment_token"}
    assert set(violations(answer)) == named
    assert "4242" not in answer.text


async def test_products_nobody_sells_are_named(ada: Person, lantern: str) -> None:
    """All of them, and not those that are there."""
    items = [{"sku": sku, "quantity": 1} for sku in ("NO-SUCH-1", lantern, "NO-SUCH-2")]
    answer = await ada.send("POST", "/v1/orders", an_order(items=items))
    assert refusal(answer) == (400, "PRODUCT_NOT_FOUND")
    assert obstacles(answer) == [("PRODUCT_NOT_FOUND", "NO-SUCH-1"), ("PRODUCT_NOT_FOUND", "NO-SUCH-2")]


async def test_a_misspelt_filter_is_refused(ada: Person) -> None:
    """It must not be taken for no filter."""
    assert refusal(await ada.send("GET", "/v1/orders?stat=ORDER_STATE_PENDING")) == MALFORMED
    assert refusal(await ada.send("GET", "/v1/orders?page_size=501")) == INVALID


async def test_a_page_token_of_one_s_own_making_is_refused(ada: Person) -> None:
    """Tokens are signed."""
    assert refusal(await ada.send("GET", "/v1/orders?page_token=bm8")) == (400, "PAGE_TOKEN_INVALID")


async def test_bad_tokens_are_refused_at_the_edge(world: World, ada: Person) -> None:
    """Over HTTP and gRPC; what the edge lets pass for lack of an eye for it, the service refuses."""
    for fault, (token, _) in world.issuer.bad_tokens(ada.user_id).items():
        headers = {"authorization": f"Bearer {token}"}
        answer = await world.shop.http.get("/v1/orders", headers=headers)
        seen_through_by = "TOKEN_INVALID" if fault == "no access token" else "TOKEN_REFUSED"
        assert refusal(answer) == (401, seen_through_by), fault
        call = OrderServiceStub(world.shop.channel).ListOrders(
            orders.ListOrdersRequest(), metadata=tuple(headers.items()), timeout=5
        )
        assert await code_of(call) is grpc.StatusCode.UNAUTHENTICATED, fault


async def test_no_time_is_an_error_and_no_order(ada: Person, lantern: str) -> None:
    """A millisecond is over before anything is done."""
    call = OrderServiceStub(ada.shop.channel).PlaceOrder(a_request(lantern), metadata=ada.metadata, timeout=0.001)
    assert await code_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED


async def lines(*requests: Any) -> AsyncIterator[Any]:
    """A stream that ends after these."""
    for request in requests:
        yield request


async def test_a_stream_that_ends_before_it_began_is_refused(world: World) -> None:
    """An import of nothing has no name to be known by."""
    stub = CatalogServiceStub(world.shop.channel)
    problem = await problem_of(stub.ImportProducts(lines(), metadata=world.staff.metadata, timeout=5))
    assert (type(problem), problem.reason) == (errors.InvalidArgument, "STREAM_EMPTY")


async def test_a_count_that_is_closed_halfway_is_answered_to_its_end(world: World, lantern: str) -> None:
    """Whoever has said everything still hears everything."""
    counts = [inventory.AdjustStockRequest(request_id=new_id(), sku=lantern, delta=-1) for _ in range(20)]
    stream = InventoryServiceStub(world.shop.channel).AdjustStock(metadata=world.staff.metadata, timeout=10)
    for count in counts:
        await stream.write(count)
    await stream.done_writing()
    assert [answer.request_id async for answer in stream] == [count.request_id for count in counts]


async def test_a_count_that_breaks_off_keeps_what_it_acknowledged(world: World, lantern: str) -> None:
    """And a line that is sent again on the next stream counts once."""
    on_hand, _ = await world.stock(lantern)
    line = inventory.AdjustStockRequest(request_id=new_id(), sku=lantern, delta=7)
    broken = InventoryServiceStub(world.shop.channel).AdjustStock(metadata=world.staff.metadata, timeout=10)
    await broken.write(line)
    assert (await broken.read()).accepted
    broken.cancel()

    again = InventoryServiceStub(world.shop.channel).AdjustStock(lines(line), metadata=world.staff.metadata, timeout=10)
    assert [answer.accepted async for answer in again] == [True]
    assert await world.stock(lantern) == (on_hand + 7, 0)


async def test_a_malformed_line_ends_a_count_and_not_those_before_it(world: World, lantern: str) -> None:
    """The stream's error comes after the answers."""
    on_hand, _ = await world.stock(lantern)
    good = inventory.AdjustStockRequest(request_id=new_id(), sku=lantern, delta=3)
    bad = inventory.AdjustStockRequest(request_id=new_id(), sku=lantern, delta=10_000_000)
    stream = InventoryServiceStub(world.shop.channel).AdjustStock(metadata=world.staff.metadata, timeout=10)
    await stream.write(good)
    assert (await stream.read()).accepted
    await stream.write(bad)
    problem = await problem_of(stream.read())
    assert (type(problem), problem.reason) == (errors.InvalidArgument, "REQUEST_INVALID")
    assert await world.stock(lantern) == (on_hand + 3, 0)


async def test_an_order_of_somebody_else_is_not_there(world: World, eve: Person, lantern: str) -> None:
    """To read, to watch, to cancel: the answer is that to an order that never was."""
    theirs = await (await world.customer("Bob")).place({lantern: 1})
    for order_id in (theirs["order_id"], new_id()):
        for verb, path in (("GET", ""), ("GET", ":watch"), ("POST", ":cancel")):
            answer = await eve.send(verb, f"/v1/orders/{order_id}{path}", {} if verb == "POST" else None)
            assert refusal(answer) == (404, "ORDER_NOT_FOUND")


async def test_a_request_id_is_for_one_request(eve: Person, lantern: str) -> None:
    """The same content gets the first answer, byte for byte; other content is refused; others may have the same id."""
    body = an_order(lantern, request_id=new_id())
    first = await eve.send("POST", "/v1/orders", body)
    again = await eve.send("POST", "/v1/orders", body)
    assert (first.status_code, again.content) == (200, first.content)
    reused = await eve.send("POST", "/v1/orders", {**body, **an_order(lantern, 2)})
    assert refusal(reused) == (400, "REQUEST_ID_REUSED")


async def test_a_request_that_comes_ten_times_at_once_is_one_order(eve: Person, lantern: str) -> None:
    """Whoever repeats an impatient click orders once."""
    body = an_order(lantern, request_id=new_id())
    answers = await asyncio.gather(*(eve.send("POST", "/v1/orders", body) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.loads(answer.content)["order"]["order_id"] for answer in answers}) == 1


async def test_a_lost_answer_is_no_lost_order(world: World, lantern: str) -> None:
    """Whoever ran out of time asks again with the same request id, and has ordered once."""
    customer = await world.customer("Patience")
    stub, request = OrderServiceStub(world.shop.channel), a_request(lantern, new_id())
    for milliseconds in (1, 2, 4, 8, 16):
        call = stub.PlaceOrder(request, metadata=customer.metadata, timeout=milliseconds / 1000)
        await asyncio.wait([asyncio.ensure_future(_finished(call))])
    placed = await stub.PlaceOrder(request, metadata=customer.metadata, timeout=10)
    listed = (await customer.get("/v1/orders"))["orders"]
    assert [order["order_id"] for order in listed] == [placed.order.order_id]


async def _finished(call: "grpc.aio.UnaryUnaryCall[Any, Any]") -> grpc.StatusCode:
    return await call.code()
