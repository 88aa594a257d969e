"""The tools people use against the services and the edge: grpcurl, ghz, buf curl, curl's own JSON."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.journeys.world import Person, World, new_id
from tools.paths import ROOT

IMAGE = ROOT / "gen" / "tradewind.binpb"
CATALOG = "tradewind.catalog.v1.CatalogService"
ORDERS = "tradewind.orders.v1.OrderService"
INSTALLED = f"{ROOT / '.cache' / 'bin'}{os.pathsep}{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"


@dataclass(frozen=True)
class Client:
    """A program that calls."""

    program: str

    async def __call__(self, *arguments: str, fails: bool = False) -> str:
        """Run it to its end: what it wrote."""
        process = await asyncio.create_subprocess_exec(
            self.program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode != 0) is fails, output.decode()
        return output.decode()

    async def json(self, *arguments: str) -> Any:
        """Run it to its end: what it wrote, as JSON."""
        return json.loads(await self(*arguments))


def client(name: str) -> Client:
    """An installed client. Without it the test fails in CI, and is skipped elsewhere."""
    program = shutil.which(name, path=INSTALLED)
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"{name} is not installed: ./taskw clients installs it, with Go")
    return Client(program)


@pytest.fixture
def grpcurl() -> Client:
    """The curl of gRPC."""
    return client("grpcurl")


@pytest.fixture
def ghz() -> Client:
    """The load generator of gRPC."""
    return client("ghz")


@pytest.fixture
def buf() -> Client:
    """Buf, which comes as a wheel."""
    return client("buf")


@pytest.fixture(params=["catalog", "edge"])
def door(request: pytest.FixtureRequest, world: World) -> str:
    """Where the catalogue can be reached: at its own service, and through the edge."""
    return world.stack.address(request.param)


def bearer(person: Person) -> tuple[str, str]:
    """Who calls, for grpcurl and buf."""
    return "-H", f"authorization: Bearer {person.token}"


async def test_grpcurl_finds_its_way_by_reflection(world: World, grpcurl: Client) -> None:
    """It lists services and methods, describes them with their messages, and needs no file for it."""
    address = world.stack.address("orders")
    services = (await grpcurl("-plaintext", address, "list")).split()
    assert {ORDERS, "tradewind.operations.v1.SagaService", "grpc.health.v1.Health"} <= set(services)
    assert f"{ORDERS}.PlaceOrder" in (await grpcurl("-plaintext", address, "list", ORDERS)).split()
    described = await grpcurl("-plaintext", address, "describe", f"{ORDERS}.WatchOrder")
    assert "returns ( stream .tradewind.orders.v1.WatchOrderResponse )" in described
    assert "string order_id = 1" in await grpcurl(
        "-plaintext", address, "describe", "tradewind.orders.v1.WatchOrderRequest"
    )


async def test_grpcurl_calls_by_reflection(world: World, grpcurl: Client, lantern: str) -> None:
    """One product, and what is wrong with a request for another, its details spelled out."""
    address = world.stack.address("catalog")
    request = json.dumps({"sku": lantern})
    answer = await grpcurl.json("-plaintext", "-d", request, address, f"{CATALOG}/GetProduct")
    assert answer["product"]["sku"] == lantern
    refused = await grpcurl("-plaintext", "-d", '{"sku": "NOBODY"}', address, f"{CATALOG}/GetProduct", fails=True)
    assert all(word in refused for word in ("NotFound", "google.rpc.ErrorInfo", "PRODUCT_NOT_FOUND", "tradewind.dev"))


async def test_grpcurl_asks_for_health(world: World, grpcurl: Client) -> None:
    """Of the process, and of one of its services."""
    for service in ("", CATALOG):
        request = json.dumps({"service": service})
        health = "grpc.health.v1.Health/Check"
        answer = await grpcurl.json("-plaintext", "-d", request, world.stack.address("catalog"), health)
        assert answer == {"status": "SERVING"}


async def test_grpcurl_orders_and_watches_through_the_edge(
    world: World, ada: Person, grpcurl: Client, lantern: str
) -> None:
    """By the contract image, with a token; the server stream arrives to its end."""
    through_edge = ("-plaintext", "-protoset", str(IMAGE), *bearer(ada), "-d")
    order = {"request_id": new_id(), "items": [{"sku": lantern, "quantity": 1}], "payment_token": "tok_approve"}
    address = world.stack.address("edge")
    placed = await grpcurl.json(*through_edge, json.dumps(order), address, f"{ORDERS}/PlaceOrder")
    wanted = json.dumps({"order_id": placed["order"]["orderId"]})
    watched = await grpcurl(*through_edge, wanted, address, f"{ORDERS}/WatchOrder")
    steps = [event["progress"]["step"] for event in _documents(watched)]
    assert (steps[0], steps[-1]) == ("ORDER_STEP_PLACED", "ORDER_STEP_CONFIRMED")


async def test_buf_calls_by_the_image_and_by_reflection(world: World, buf: Client, lantern: str, door: str) -> None:
    """Over gRPC and, through the edge, gRPC-Web; without a network but the loopback."""
    url, request = f"http://{door}/{CATALOG}/GetProduct", json.dumps({"sku": lantern})
    plain = ("curl", "--http2-prior-knowledge", "--data", request)
    ways = [("--protocol", "grpc", "--schema", f"{IMAGE}#format=binpb")]
    if door == world.stack.address("edge"):
        ways += [("--protocol", "grpcweb", "--schema", f"{IMAGE}#format=binpb")]
    else:
        ways += [("--protocol", "grpc", "--reflect")]
    for way in ways:
        answer = await buf.json(*plain, *way, url)
        assert answer["product"]["sku"] == lantern, way


async def test_ghz_meets_no_error(ghz: Client, lantern: str, door: str) -> None:
    """Five hundred calls, eight at a time."""
    options = ("--insecure", "--protoset", str(IMAGE), "--call", f"{CATALOG}/GetProduct", "--format", "json")
    request = json.dumps({"sku": lantern})
    report = await ghz.json(*options, "--data", request, "--total", "500", "--concurrency", "8", door)
    assert (report["count"], report["statusCodeDistribution"], report["errorDistribution"]) == (500, {"OK": 500}, {})


async def test_ghz_needs_no_file_against_a_service(world: World, ghz: Client, lantern: str) -> None:
    """It reads the contract by reflection."""
    options = ("--insecure", "--call", f"{CATALOG}/GetProduct", "--data", json.dumps({"sku": lantern}))
    report = await ghz.json(
        *options, "--format", "json", "--total", "8", "--concurrency", "2", world.stack.address("catalog")
    )
    assert report["statusCodeDistribution"] == {"OK": 8}


async def test_ghz_orders_through_the_edge(world: World, ada: Person, ghz: Client, lantern: str) -> None:
    """Each call with a request id of its own is an order of its own, and each is seen through."""
    data = {"request_id": "{{newUUID}}", "items": [{"sku": lantern, "quantity": 1}], "payment_token": "tok_approve"}
    options = ("--insecure", "--protoset", str(IMAGE), "--call", f"{ORDERS}/PlaceOrder", "--format", "json")
    metadata = json.dumps({"authorization": f"Bearer {ada.token}"})
    load = ("--total", "40", "--concurrency", "8", "--data", json.dumps(data), "--metadata", metadata)
    report = await ghz.json(*options, *load, world.stack.address("edge"))
    assert report["statusCodeDistribution"] == {"OK": 40}
    placed = [o for o in (await ada.get("/v1/orders?page_size=500"))["orders"] if o["lines"][0]["sku"] == lantern]
    outcomes = await asyncio.gather(*(ada.outcome(order["order_id"]) for order in placed))
    assert [outcome.state for outcome in outcomes] == ["CONFIRMED"] * 40


def _documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents that stand one after the other in a text."""
    decode: Callable[[str], tuple[dict[str, Any], int]] = json.JSONDecoder().raw_decode
    found = []
    while text := text.strip():
        document, end = decode(text)
        found.append(document)
        text = text[end:]
    return found
