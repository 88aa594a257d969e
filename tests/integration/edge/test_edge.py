"""The edge, a real Envoy with the generated configuration: what it lets through, on which terms, and what it refuses."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.contract.descriptors import Caller
from tests.integration.edge.client import USER, EdgeClient, reason
from tests.integration.edge.upstream import REACHABLE
from tools.paths import ROOT
from tradewind.catalog.v1 import catalog_service_pb2 as catalog
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.catalog.v1.product_pb2 import Product
from tradewind.inventory.v1 import inventory_service_pb2 as inventory
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.orders.v1 import order_service_pb2 as orders
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub

GRPC_WEB = "application/grpc-web+proto"


async def not_found(_: Any, context: grpc.aio.ServicerContext) -> None:
    """Refuse as the chassis does."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="PRODUCT_NOT_FOUND", domain="tradewind.dev", metadata={"sku": "X"}))
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="there is no such product", details=[info])
    await context.abort_with_status(rpc_status.to_status(status))


async def test_json_becomes_grpc_and_back(edge: EdgeClient) -> None:
    """Path, query and body make one request; the answer has the protos' names, and zeros are written."""

    async def answer(request: catalog.GetProductRequest, _: Any) -> catalog.GetProductResponse:
        return catalog.GetProductResponse(product=Product(sku=request.sku))

    edge.upstream.answers["GetProduct"] = answer
    response = await edge.http.get("/v1/products/85123A")

    assert response.status_code == 200
    assert response.json()["product"]["sku"] == "85123A"
    assert response.json()["product"]["name"] == ""


async def test_native_grpc_passes_in_all_four_kinds(edge: EdgeClient) -> None:
    """Unary, server stream, client stream and both ways at once."""

    async def watch(*_: Any) -> AsyncIterator[orders.WatchOrderResponse]:
        yield orders.WatchOrderResponse()
        yield orders.WatchOrderResponse()

    edge.upstream.answers["WatchOrder"] = watch
    staff = [("authorization", f"Bearer {edge.tokens.staff()}")]
    watched = OrderServiceStub(edge.channel).WatchOrder(orders.WatchOrderRequest(order_id=USER), metadata=staff)
    adjusted = InventoryServiceStub(edge.channel).AdjustStock(
        iter([inventory.AdjustStockRequest()] * 3), metadata=staff
    )

    assert await CatalogServiceStub(edge.channel).GetProduct(catalog.GetProductRequest(sku="X")) is not None
    assert len([event async for event in watched]) == 2
    assert len([line async for line in adjusted]) == 3
    imported = iter([catalog.ImportProductsRequest()] * 4)
    await CatalogServiceStub(edge.channel).ImportProducts(imported, metadata=staff)
    assert [seen.method for seen in edge.upstream.seen].count("ImportProducts") == 4


async def test_grpc_web_passes(edge: EdgeClient) -> None:
    """A browser's gRPC: a frame of data and a frame of trailers, both in the body."""
    frame = b"\0" + len(message := catalog.GetProductRequest(sku="X").SerializeToString()).to_bytes(4, "big") + message
    path = "/tradewind.catalog.v1.CatalogService/GetProduct"
    response = await edge.http.post(path, content=frame, headers={"content-type": GRPC_WEB})

    assert response.headers["content-type"] == GRPC_WEB
    assert b"grpc-status:0" in response.content


async def test_error_details_arrive_as_json(edge: EdgeClient) -> None:
    """The status a service answers with is the body, its details in words."""
    edge.upstream.answers["GetProduct"] = not_found
    response = await edge.http.get("/v1/products/X")

    assert response.status_code == 404
    assert response.json() == {
        "code": code_pb2.NOT_FOUND,
        "message": "there is no such product",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "PRODUCT_NOT_FOUND",
                "domain": "tradewind.dev",
                "metadata": {"sku": "X"},
            }
        ],
    }


async def test_methods_between_services_are_not_there(edge: EdgeClient) -> None:
    """SERVICE methods are no routes: nothing outside can tell them from methods that were never written."""
    response = await edge.http.post("/tradewind.inventory.v1.InventoryService/ReserveStock", headers=edge.customer())
    assert (response.status_code, reason(response)) == (404, "METHOD_NOT_FOUND")

    reserve = InventoryServiceStub(edge.channel).ReserveStock
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await reserve(inventory.ReserveStockRequest(), metadata=[("authorization", f"Bearer {edge.tokens.staff()}")])
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert edge.upstream.seen == []


@pytest.mark.parametrize("method", [each for each in REACHABLE if each.bindings], ids=lambda each: each.short_name)
async def test_each_method_asks_for_a_token_as_its_policy_says(edge: EdgeClient, method: Any) -> None:
    """Without a token only ANYONE methods get through; with a bad one none do."""
    binding = method.bindings[0]
    path = re.sub(r"\{[^}]*\}", "X", binding.template)

    async def call(headers: dict[str, str]) -> httpx.Response:
        return await edge.http.request(binding.verb, path, headers=headers)

    without = await call({})
    assert (without.status_code == 401) == (method.caller is not Caller.ANYONE)
    refused = await call({"authorization": f"Bearer {edge.tokens.forged(USER)}"})
    assert (refused.status_code, reason(refused)) == (401, "TOKEN_REFUSED")


@pytest.mark.parametrize("fault", ["expired", "forged", "wrong_audience", "none_algorithm", "garbage"])
async def test_bad_tokens_are_unauthenticated(edge: EdgeClient, fault: str) -> None:
    """Over HTTP and over gRPC, whatever is wrong with the token; the service never sees it."""
    header, payload, _ = edge.tokens.customer(USER).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    token = {
        "expired": edge.tokens.expired(USER),
        "forged": edge.tokens.forged(USER),
        "wrong_audience": edge.tokens.wrong_audience(USER),
        "none_algorithm": f"{none}.{payload}.",
        "garbage": header,
    }[fault]

    response = await edge.http.get("/v1/orders", headers={"authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["code"]) == (401, code_pb2.UNAUTHENTICATED)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await OrderServiceStub(edge.channel).ListOrders(
            orders.ListOrdersRequest(), metadata=[("authorization", f"Bearer {token}")]
        )
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert edge.upstream.seen == []


async def test_a_token_in_the_query_is_no_token(edge: EdgeClient) -> None:
    """Queries end up in logs and histories; tokens come in the header alone."""
    response = await edge.http.get("/v1/orders", params={"access_token": edge.tokens.customer(USER)})
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('{"nope": 1}', 'unknown field "nope" in tradewind.orders.v1.PlaceOrderRequest'),
        ('{"items": [{"sku": "A"}, {"Sku": "B"}]}', 'unknown field "items[1].Sku" in tradewind.orders.v1.ItemToOrder'),
        ('{"request_id": "\\\\\\"}", "other": [{}]}', 'unknown field "other" in'),
        ('{"items": [{"sku": "A"}], "items": [{"sku": "B"}]}', 'field "items" comes twice'),
        ('{"request_id": "A", "requestId": "B"}', 'field "requestId" comes twice'),
        ('{"items": [{"sku": "A"}, {"sku": "B", "sku": "C"}]}', 'field "items[1].sku" comes twice'),
        ("{'request_id': 'A', 'nope': 1}", "no JSON at byte 2"),
        ('{request_id: "A", nope: 1}', "no JSON at byte 2"),
        ('{"items": [{"sku": "A"},], "nope": 1}', "no JSON at byte 25"),
        ('{"request_id": "A",}', "no JSON at byte 20"),
        ('{"items": [{"quantity": "99999999999999999999"}]}', "items[0].quantity: invalid value"),
        ('{"items": [{"quantity":', "Unexpected end of string"),
        ("[" * 100_000, "nested deeper than 100 levels"),
        ('["an", "array"]', "Root element must be a message"),
        (b'{"request_id": "\xff\xfe"}', "non UTF-8"),
    ],
)
async def test_json_the_contract_does_not_know_is_refused(edge: EdgeClient, body: bytes | str, complaint: str) -> None:
    """The answer says what is wrong and where, and the service sees nothing of it."""
    response = await edge.place(body)

    assert (response.status_code, reason(response)) == (400, "REQUEST_MALFORMED")
    assert response.json()["code"] == code_pb2.INVALID_ARGUMENT
    assert complaint in response.json()["message"]
    assert edge.upstream.seen == []


async def test_both_spellings_of_a_field_are_known(edge: EdgeClient) -> None:
    """JSON may use the proto's names or lowerCamelCase, with whatever text in the values."""
    body = {"requestId": 'a "quoted" \\ value {[', "items": [{"sku": "A", "quantity": "2"}, {"sku": "B"}]}
    response = await edge.place(json.dumps(body, indent=2))

    assert response.status_code == 200, response.text
    request = edge.upstream.last().request
    assert isinstance(request, orders.PlaceOrderRequest)
    assert (request.request_id, [item.quantity for item in request.items]) == (body["requestId"], [2, 0])


async def test_unknown_query_parameters_are_refused(edge: EdgeClient) -> None:
    """A misspelt filter must not be taken for no filter."""
    response = await edge.http.get("/v1/products", params={"page_sise": "5"})
    assert (response.status_code, reason(response)) == (400, "REQUEST_MALFORMED")
    assert 'Could not find field "page_sise"' in response.json()["message"]


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/v1/products?page_size=1&page_size=2", "page_size"),
        ("/v1/products?page_size=1&pageSize=2", "page_size"),
        ("/v1/products?page_size=1&page%5Fsize=2", "page_size"),
        ("/v1/products/A?sku=B", "sku"),
        ("/v1/products/A?%73ku=B", "sku"),
        ("/v1/orders/A:watch?after_version=1&orderId=B", "order_id"),
    ],
)
async def test_a_query_says_nothing_twice(edge: EdgeClient, target: str, field: str) -> None:
    """Of two values the transcoder takes the last, also where the first is in the path, by which the log goes."""
    response = await edge.http.get(target, headers=edge.customer())
    assert (response.status_code, reason(response)) == (400, "REQUEST_MALFORMED")
    assert f'field "{field}" comes twice' in response.json()["message"]
    assert edge.upstream.seen == []


async def test_a_query_repeats_what_a_list_holds(edge: EdgeClient) -> None:
    """One parameter for each of its values."""
    response = await edge.http.get("/v1/products:batchGet?skus=A&skus=B")
    assert response.status_code == 200, response.text
    assert edge.upstream.last().request == catalog.BatchGetProductsRequest(skus=["A", "B"])


async def test_large_bodies_are_refused(edge: EdgeClient) -> None:
    """One byte over the limit is too many; the service sees nothing of it."""
    response = await edge.place(b" " * (1024 * 1024 + 1))
    assert (response.status_code, reason(response)) == (413, "REQUEST_TOO_LARGE")
    assert edge.upstream.seen == []


async def test_a_server_stream_comes_as_server_sent_events(edge: EdgeClient) -> None:
    """Each message is an event as soon as it is sent."""
    sent = asyncio.Event()

    async def watch(*_: Any) -> AsyncIterator[orders.WatchOrderResponse]:
        yield orders.WatchOrderResponse()
        await sent.wait()  # The first event arrives while the stream is open, or this never ends.
        yield orders.WatchOrderResponse()

    edge.upstream.answers["WatchOrder"] = watch
    async with edge.http.stream("GET", f"/v1/orders/{USER}:watch", headers=edge.customer()) as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = 0
        async for line in response.aiter_lines():
            events += line.startswith("data: {")
            sent.set()
    assert events == 2


async def test_a_stream_that_is_refused_answers_with_the_error(edge: EdgeClient) -> None:
    """Before the first event there is still a status to give."""

    async def watch(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[orders.WatchOrderResponse]:
        await not_found(request, context)
        yield orders.WatchOrderResponse()

    edge.upstream.answers["WatchOrder"] = watch
    response = await edge.http.get(f"/v1/orders/{USER}:watch", headers=edge.customer())
    assert (response.status_code, reason(response)) == (404, "PRODUCT_NOT_FOUND")


async def test_nobody_outside_passes_for_a_service(edge: EdgeClient) -> None:
    """Headers that speak of a workload are the edge's to set."""
    forged = {
        "x-tradewind-peer": "orders",
        "x-forwarded-client-cert": "URI=spiffe://x/sa/orders",
        "x-request-id": "mine",
    }
    response = await edge.http.get("/v1/products/X", headers=forged)

    metadata = edge.upstream.last().metadata
    assert metadata["x-tradewind-peer"] == "edge"
    assert "x-forwarded-client-cert" not in metadata
    assert metadata["x-request-id"] == response.headers["x-request-id"] != "mine"


async def test_nobody_outside_decides_what_is_traced(edge: EdgeClient) -> None:
    """Neither by JSON nor by gRPC: a sampled trace costs, and begins behind the edge."""
    brought = {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "vendor=value",
        "baggage": "user=somebody",
    }
    await edge.http.get("/v1/products/X", headers=brought)
    await CatalogServiceStub(edge.channel).GetProduct(
        catalog.GetProductRequest(sku="X"), metadata=list(brought.items())
    )
    assert [brought.keys() & seen.metadata.keys() for seen in edge.upstream.seen] == [set(), set()]


async def test_the_token_goes_on_to_the_service(edge: EdgeClient) -> None:
    """Services trust no edge: they check the token again."""
    headers = edge.customer()
    await edge.http.get("/v1/orders", headers=headers)
    assert edge.upstream.last().metadata["authorization"] == headers["authorization"]


@pytest.mark.parametrize(("origin", "allowed"), [("http://localhost:3000", True), ("https://evil.example", False)])
async def test_pages_of_known_origins_may_call(edge: EdgeClient, origin: str, *, allowed: bool) -> None:
    """A browser asks first, and reads the answer only if its page's origin is named in it."""
    asked = {"origin": origin, "access-control-request-method": "POST"}
    preflight = await edge.http.options("/v1/orders", headers=asked)
    answer = await edge.http.get("/v1/products/X", headers={"origin": origin})

    assert (preflight.headers.get("access-control-allow-origin") == origin) is allowed
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
    assert [seen.method for seen in edge.upstream.seen] == ["GetProduct"]


@pytest.mark.parametrize("asked", [{}, {"access-control-request-method": ""}], ids=["no method", "empty method"])
async def test_half_a_preflight_reaches_nobody(edge: EdgeClient, asked: dict[str, str]) -> None:
    """What the CORS filter does not answer is no way past the routes, least of all to a service's metrics."""
    response = await edge.http.options("/metrics", headers={"origin": "https://evil.example", **asked})
    assert (response.status_code, reason(response)) == (404, "METHOD_NOT_FOUND")


async def test_guessing_passwords_is_slowed_down(edge: EdgeClient) -> None:
    """Login takes a burst from one address and then refuses; everything else goes on."""
    answers = await asyncio.gather(*(edge.http.post("/v1/sessions", json={}) for _ in range(90)))
    refused = [answer for answer in answers if answer.status_code == 429]

    assert len(refused) >= 20
    assert {reason(answer) for answer in refused} == {"RATE_LIMITED"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert (await edge.http.get("/v1/products/X")).status_code == 200


async def test_a_process_that_is_not_serving_gets_no_calls(edge: EdgeClient) -> None:
    """What a process says of its health takes it out of the edge's choice."""
    await edge.upstream.not_serving("payments-2")
    path = f"/v1/payments/{USER}"
    headers = {"authorization": f"Bearer {edge.tokens.staff()}"}
    async with asyncio.timeout(20):
        asked: set[str] = {"payments-2"}
        while "payments-2" in asked:
            edge.upstream.seen.clear()
            await asyncio.gather(*(edge.http.get(path, headers=headers) for _ in range(20)))
            asked = {seen.instance for seen in edge.upstream.seen}
    assert asked == {"payments"}


async def test_a_process_that_dies_costs_no_call(edge: EdgeClient) -> None:
    """What was refused by a dead process is asked again of a living one."""
    await edge.upstream.servers["inventory-2"].stop(0)
    answers = [await edge.http.get("/v1/availability") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}


async def logged(edge: EdgeClient, request_id: str) -> dict[str, Any]:
    """The line of the access log that tells of a request."""
    async with asyncio.timeout(20):
        while request_id not in edge.log.read_text():
            await edge.http.get("/healthz")
    line: dict[str, Any] = json.loads(next(line for line in edge.log.read_text().splitlines() if request_id in line))
    return line


async def test_the_access_log_keeps_no_secret(edge: EdgeClient) -> None:
    """Each request is a line of JSON that says who and what, without token or query."""
    token = edge.tokens.customer(USER)
    response = await edge.http.get("/v1/orders", params={"page_size": 7}, headers={"authorization": f"Bearer {token}"})
    line = await logged(edge, response.headers["x-request-id"])

    assert (line["path"], line["status"], line["principal"]) == ("/v1/orders", 200, USER)
    assert token not in edge.log.read_text()
    assert "page_size" not in edge.log.read_text()


async def test_the_access_log_tells_no_status_that_nobody_gave(edge: EdgeClient) -> None:
    """Over gRPC that of the call, from its trailers or in place of them; over JSON the one of HTTP says it."""
    edge.upstream.answers["GetProduct"] = not_found
    json_error = await edge.http.get("/v1/products/X")
    json_mistake = await edge.http.get("/v1/products", params={"page_sise": "5"})
    headers = {"content-type": "application/grpc"}
    path = "/tradewind.catalog.v1.CatalogService/"
    found = await edge.http.post(f"{path}ListProducts", headers=headers, content=b"\0\0\0\0\0")
    missing = await edge.http.post(f"{path}GetProduct", headers=headers, content=b"\0\0\0\0\0")
    unknown = await edge.http.post(f"{path}Nothing", headers=headers, content=b"\0\0\0\0\0")

    lines = [
        await logged(edge, response.headers["x-request-id"])
        for response in (json_error, json_mistake, found, missing, unknown)
    ]
    assert [(line["status"], line["grpc_status"]) for line in lines] == [
        (404, None),
        (400, None),
        (200, "0"),
        (200, "5"),
        (200, "12"),
    ]


async def test_the_edge_describes_itself(edge: EdgeClient) -> None:
    """Health, keys, and an OpenAPI document that names every method callers outside may use."""
    assert (await edge.http.get("/healthz")).json() == {"status": "SERVING"}
    assert (await edge.http.get("/.well-known/jwks.json")).json()["keys"]
    document = (await edge.http.get("/openapi.json")).json()
    described = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    assert described == {method.short_name for method in REACHABLE}


async def test_the_committed_configuration_is_good() -> None:
    """Envoy itself says so, of the file as it lies in the checkout."""
    command = ["envoy", "--mode", "validate", "--config-path", "mesh/edge/envoy.yaml", "--disable-hot-restart"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    _, log = await process.communicate()
    assert process.returncode == 0, log.decode()
