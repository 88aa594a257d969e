"""What the edge itself promises, with the real services behind it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import httpx
import pytest

from chassis.contract.descriptors import Caller, Method
from tests.journeys.contract import METHODS
from tests.journeys.refusals import code_of, refusal
from tests.journeys.world import PASSWORD, Person, World, new_id
from tests.waiting import eventually
from tradewind.catalog.v1 import catalog_service_pb2 as catalog

GET_PRODUCT = "/tradewind.catalog.v1.CatalogService/GetProduct"
GRPC_WEB = "application/grpc-web+proto"
BETWEEN_SERVICES = [method for method in METHODS if method.caller is Caller.SERVICE]


@pytest.fixture
async def stranger(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody at another address: what they spend of a rate limit is theirs alone."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=world.stack.edge_url, transport=transport, trust_env=False) as client:
        yield client


async def test_it_is_alive(world: World) -> None:
    """It says so itself."""
    answer = await world.shop.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "SERVING"})


async def test_anybody_can_fetch_the_keys(world: World) -> None:
    """The published ones, and nothing of their secrets."""
    keys = (await world.shop.http.get("/.well-known/jwks.json")).json()["keys"]
    assert world.issuer.key_id in {key["kid"] for key in keys}
    assert keys
    assert [key for key in keys if "d" in key or key["alg"] != "ES256"] == []


@pytest.mark.parametrize("method", BETWEEN_SERVICES, ids=lambda method: method.name)
async def test_methods_between_services_are_not_there(world: World, method: Method) -> None:
    """Not even for staff: they cannot be told from methods that were never written."""
    answer = await world.shop.http.post(method.path, json={}, headers=world.staff.headers)
    assert refusal(answer) == (404, "METHOD_NOT_FOUND")
    call = world.shop.channel.unary_unary(method.path)(b"", metadata=world.staff.metadata, timeout=5)
    assert await code_of(call) is grpc.StatusCode.UNIMPLEMENTED


async def test_what_is_not_there_says_so(world: World) -> None:
    """As JSON, like every error."""
    assert refusal(await world.shop.http.get("/v1/nothing")) == (404, "METHOD_NOT_FOUND")
    assert refusal(await world.shop.http.delete("/v1/orders")) == (404, "METHOD_NOT_FOUND")
    call = world.shop.channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
    assert await code_of(call) is grpc.StatusCode.UNIMPLEMENTED


async def test_one_product_by_json_grpc_and_grpc_web(world: World, lantern: str) -> None:
    """Three doors to one method."""
    request = catalog.GetProductRequest(sku=lantern)
    by_json = (await world.shop.get(f"/v1/products/{lantern}"))["product"]["name"]
    by_grpc = await world.shop.channel.unary_unary(
        GET_PRODUCT, catalog.GetProductRequest.SerializeToString, catalog.GetProductResponse.FromString
    )(request, timeout=5)
    frame = b"\0" + request.ByteSize().to_bytes(4, "big") + request.SerializeToString()
    answer = await world.shop.http.post(GET_PRODUCT, content=frame, headers={"content-type": GRPC_WEB})
    data, trailers = _web_frames(answer.content)
    by_web = catalog.GetProductResponse.FromString(data)

    assert {by_json, by_grpc.product.name, by_web.product.name} == {f"One {lantern}"}
    assert b"grpc-status:0" in trailers


async def test_an_error_by_json_grpc_and_grpc_web(world: World) -> None:
    """Its code and its details, each in the door's own way."""
    answer = await world.shop.http.get("/v1/products/NOBODY-SELLS-THIS")
    assert refusal(answer) == (404, "PRODUCT_NOT_FOUND")
    call = world.shop.channel.unary_unary(GET_PRODUCT, catalog.GetProductRequest.SerializeToString)
    assert await code_of(call(catalog.GetProductRequest(sku="X"), timeout=5)) is grpc.StatusCode.NOT_FOUND
    web = await world.shop.http.post(
        GET_PRODUCT, content=b"\0\0\0\0\x03\x0a\x01X", headers={"content-type": GRPC_WEB, "x-grpc-web": "1"}
    )
    assert (web.status_code, web.headers.get("grpc-status") or _status(web.content)) == (200, "5")


async def test_a_watched_order_comes_as_server_sent_events(ada: Person, lantern: str) -> None:
    """One `data:` line of JSON and an empty line for each thing that happens, until the order has ended."""
    order = await ada.place({lantern: 1})
    path = f"/v1/orders/{order['order_id']}:watch"
    async with ada.shop.http.stream("GET", path, headers=ada.headers) as stream:
        kind, lines = stream.headers["content-type"], [line async for line in stream.aiter_lines()]

    assert kind == "text/event-stream"
    assert set(lines[1::2]) == {""}
    events = [json.loads(line.removeprefix("data: ")) for line in lines[0::2]]
    assert [int(event["progress"]["version"]) for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["progress"]["step"], events[0]["state"]) == ("ORDER_STEP_PLACED", "ORDER_STATE_PENDING")
    assert (events[-1]["progress"]["step"], events[-1]["state"]) == ("ORDER_STEP_CONFIRMED", "ORDER_STATE_CONFIRMED")


async def test_each_answer_names_its_request_and_so_do_the_logs(world: World, lantern: str) -> None:
    """What a caller calls its request stays outside; the edge's id is in the service's log."""
    answer = await world.shop.http.get(f"/v1/products/{lantern}", headers={"x-request-id": "mine"})
    request_id = answer.headers["x-request-id"]
    assert request_id not in ("", "mine")

    async def logged() -> str | None:
        lines = world.stack.directory.log("catalog").read_text().splitlines()
        return next((line for line in lines if request_id in line), None)

    line = json.loads(await eventually(logged))
    assert (line["event"], line["method"], line["code"]) == ("call", GET_PRODUCT[1:], "OK")


@pytest.mark.parametrize(("origin", "is_known"), [("http://localhost:3000", True), ("https://evil.example", False)])
async def test_only_known_pages_may_call(world: World, ada: Person, origin: str, *, is_known: bool) -> None:
    """A browser asks first, and shows the answer only to a page whose origin is named in it."""
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = await world.shop.http.options("/v1/orders", headers={**asked, "origin": origin})
    answer = await world.shop.http.get("/v1/profile", headers={**ada.headers, "origin": origin})
    for each in (preflight, answer):
        assert (each.headers.get("access-control-allow-origin") == origin) is is_known
    assert "authorization" in preflight.headers["access-control-allow-headers"]


async def test_guessing_is_slowed_down_by_address(world: World, stranger: httpx.AsyncClient, ada: Person) -> None:
    """A burst is let through, then 429; neither products nor other people's logins suffer from it."""
    answers = await asyncio.gather(*(stranger.post("/v1/sessions", json={}) for _ in range(90)))
    refused = [answer for answer in answers if answer.status_code == 429]

    assert len(refused) >= 20
    assert {refusal(answer) for answer in refused} == {(429, "RATE_LIMITED")}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert (await stranger.get("/v1/products")).status_code == 200
    assert (await world.log_in(ada.email, PASSWORD)).user_id == ada.user_id


@pytest.fixture(scope="module")
async def document(world: World) -> dict[str, Any]:
    """The OpenAPI document, as the edge hands it out."""
    answer = await world.shop.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


async def test_the_openapi_document_holds_together(document: dict[str, Any]) -> None:
    """Every reference leads somewhere, every name is used once, every variable of a path is a parameter."""
    assert document["openapi"].startswith("3.1.")
    for reference in _values(document, "$ref"):
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    operations = [(path, each) for path, verbs in document["paths"].items() for each in verbs.values()]
    ids = [operation["operationId"] for _, operation in operations]
    assert len(ids) == len(set(ids))
    for path, operation in operations:
        in_path = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert set(re.findall(r"\{(\w+)\}", path)) == in_path, operation["operationId"]
        assert {"200", "default"} == operation["responses"].keys()
        assert set(operation["tags"]) <= {tag["name"] for tag in document["tags"]}


async def test_every_operation_of_the_document_is_there(world: World, document: dict[str, Any]) -> None:
    """Nobody is told of a path that leads nowhere, or of an answer that is none."""
    statuses = {}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            url = re.sub(r"\{\w+\}", new_id(), path)
            answer = await world.shop.http.request(verb, url, headers=world.staff.headers)
            is_known = answer.status_code == 200 or refusal(answer)[1] != "METHOD_NOT_FOUND"
            statuses[operation["operationId"]] = (answer.status_code < 500, is_known)
    assert set(statuses.values()) == {(True, True)}, statuses


def _values(content: Any, key: str) -> Iterator[str]:
    """Every value of that key, however deep."""
    if isinstance(content, dict):
        if isinstance(content.get(key), str):
            yield content[key]
        for value in content.values():
            yield from _values(value, key)
    elif isinstance(content, list):
        for value in content:
            yield from _values(value, key)


def _web_frames(body: bytes) -> tuple[bytes, bytes]:
    """The message and the trailers of a gRPC-Web answer."""
    length = int.from_bytes(body[1:5], "big")
    return body[5 : 5 + length], body[10 + length :]


def _status(body: bytes) -> str:
    found = re.search(rb"grpc-status:(\d+)", body)
    return found.group(1).decode() if found else ""
