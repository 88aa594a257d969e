"""What no client of ours would send reaches the edge all the same: each gets a true answer, and nobody else suffers."""

import asyncio
from typing import Any

import grpc
import httpx
import pytest

from tests.integration.edge.client import EdgeClient, reason
from tradewind.catalog.v1 import catalog_service_pb2 as catalog
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

GRPC = "application/grpc"
GET_PRODUCT = "/tradewind.catalog.v1.CatalogService/GetProduct"
EMPTY_FRAME = b"\0\0\0\0\0"


def grpc_status(code: grpc.StatusCode) -> str:
    """As it stands in a header."""
    return str(code.value[0])


async def test_grpc_needs_no_header_that_says_it_takes_trailers(edge: EdgeClient) -> None:
    """Services reset what comes without `te: trailers`, so the edge says it for everybody."""
    response = await edge.http.post(GET_PRODUCT, headers={"content-type": GRPC}, content=EMPTY_FRAME)
    assert (response.content, len(edge.upstream.seen)) == (EMPTY_FRAME, 1)


@pytest.mark.parametrize(
    ("verb", "path"), [("GET", GET_PRODUCT), ("PUT", GET_PRODUCT), ("OPTIONS", GET_PRODUCT), ("GET", "/v1/products/X")]
)
async def test_grpc_is_posted_to_a_method(edge: EdgeClient, verb: str, path: str) -> None:
    """With another verb, or at the path of the JSON, services would reset it: there is no such method."""
    response = await edge.http.request(verb, path, headers={"content-type": GRPC, "te": "trailers"})
    assert response.headers["grpc-status"] == grpc_status(grpc.StatusCode.UNIMPLEMENTED)


@pytest.mark.parametrize("content_type", ["application/grpcish", "application/grpc-web+thrift"])
async def test_what_only_begins_like_grpc_is_none(edge: EdgeClient, content_type: str) -> None:
    """Its refusal is the one everybody gets who does not speak gRPC."""
    response = await edge.http.post(GET_PRODUCT, headers={"content-type": content_type}, content=EMPTY_FRAME)
    assert (response.status_code, reason(response)) == (404, "METHOD_NOT_FOUND")


async def test_calls_that_take_too_long_put_no_process_out_of_work(edge: EdgeClient) -> None:
    """How long a call takes is in its caller's hands: whoever sends half a request could empty a service for others."""
    never = asyncio.Event()

    async def wait(*_: Any) -> catalog.GetProductResponse:
        await never.wait()
        return catalog.GetProductResponse()

    edge.upstream.answers["GetProduct"] = wait
    late = await asyncio.gather(*(edge.http.get("/v1/products/X") for _ in range(20)))
    edge.upstream.answers.clear()
    edge.upstream.seen.clear()
    await asyncio.gather(*(edge.http.get("/v1/products/X") for _ in range(20)))

    assert {reason(answer) for answer in late} == {"DEADLINE_EXCEEDED"}
    assert {seen.instance for seen in edge.upstream.seen} == {"catalog", "catalog-2"}


# Services answer INTERNAL to each of these, and to every later header of that name on the same connection.
UNREADABLE = [("grpc-timeout", "banana"), ("grpc-encoding", "banana"), ("grpc-status", "banana"), ("foo-bin", "@@@@")]


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=lambda header: header[0])
async def test_headers_of_grpc_mean_nothing_in_json(edge: EdgeClient, unreadable: tuple[str, str]) -> None:
    """No caller of JSON has reason to send them."""
    response = await edge.http.get("/v1/products/X", headers=[unreadable])
    assert response.status_code == 200, response.text
    assert unreadable[0] not in edge.upstream.last().metadata


@pytest.mark.parametrize("unreadable", UNREADABLE[:2], ids=lambda header: header[0])
async def test_grpc_with_a_header_nobody_can_read_is_refused(edge: EdgeClient, unreadable: tuple[str, str]) -> None:
    """It is the caller's mistake, and is called so."""
    headers = [("content-type", GRPC), unreadable]
    response = await edge.http.post(GET_PRODUCT, headers=headers, content=EMPTY_FRAME)
    assert response.headers["grpc-status"] == grpc_status(grpc.StatusCode.INVALID_ARGUMENT)
    assert unreadable[0] in response.headers["grpc-message"]
    assert edge.upstream.seen == []


async def test_a_bad_header_fails_no_call_but_its_own(edge: EdgeClient) -> None:
    """Strangers share the edge's connections to the services, and must not share their mistakes."""
    for unreadable in UNREADABLE:
        await edge.http.get("/v1/products/X", headers=[unreadable])
        headers = [("content-type", GRPC), unreadable]
        await edge.http.post(GET_PRODUCT, headers=headers, content=EMPTY_FRAME)
    edge.upstream.seen.clear()
    stub, request = CatalogServiceStub(edge.channel), catalog.GetProductRequest(sku="X")
    metadata = (("foo", "bar"), ("foo-bin", b"bar"))
    gzip = grpc.Compression.Gzip
    await asyncio.gather(*(stub.GetProduct(request, timeout=5, metadata=metadata, compression=gzip) for _ in range(20)))
    assert [seen.metadata["foo"] for seen in edge.upstream.seen] == ["bar"] * 20


@pytest.mark.parametrize(
    "spoken", [{"content-type": GRPC}, {"content-type": "application/grpc-web", "x-grpc-web": "1"}]
)
async def test_half_a_message_is_too_late(edge: EdgeClient, spoken: dict[str, str]) -> None:
    """The rest never came: not a service that is away, which is worth another try, but a deadline that has passed."""
    response = await edge.http.post(GET_PRODUCT, headers=spoken, content=b"\0\0\0\0\x09a")
    assert (response.status_code, response.headers["content-type"][: len(GRPC)]) == (200, GRPC)
    assert response.headers["grpc-status"] == grpc_status(grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_a_message_that_does_not_come_is_too_late(edge: EdgeClient) -> None:
    """Whoever calls and says nothing gets the same answer."""
    call = edge.channel.stream_unary(GET_PRODUCT)(timeout=20)
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "timeout" in await call.details()


async def spoken(edge: EdgeClient, words: str) -> httpx.Response:
    """What comes back for words that no HTTP client would say."""
    address = edge.http.base_url
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(words.replace("\n", "\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    content = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return httpx.Response(int(head[0].split()[1]), headers=headers, content=content)


ODD_REQUESTS = {
    "GET /v1%2fproducts HTTP/1.1\nhost: x\n\n": (400, "REQUEST_MALFORMED", "escaped slash"),
    "GET /v1/products/%00 HTTP/1.1\nhost: x\n\n": (400, "REQUEST_MALFORMED", "NUL"),
    "GET /healthz HTTP/1.1\n\n": (400, "REQUEST_MALFORMED", "host"),
    "OPTIONS * HTTP/1.1\nhost: x\n\n": (404, "METHOD_NOT_FOUND", "slash"),
    "GET /healthz HTTP/1.0\n\n": (426, "HTTP_VERSION_UNKNOWN", "Upgrade Required"),
    f"GET /healthz HTTP/1.1\nhost: x\nlarge: {'x' * 20_000}\n\n": (431, "HEADERS_TOO_LARGE", "Too Large"),
    "GET /healthz HTTP/1.1\nhost: x\n" + "many: x\n" * 200 + "\n": (431, "HEADERS_TOO_LARGE", "Too Large"),
    "POST /v1/orders HTTP/1.1\nhost: x\ntransfer-encoding: x\n\n": (501, "ENCODING_UNKNOWN", "Not Implemented"),
    "GET /v1/products/X HTTP/1.1\nhost: x\nconnection: upgrade\nupgrade: websocket\n\n": (
        400,
        "UPGRADE_REFUSED",
        "upgrade",
    ),
}


@pytest.mark.parametrize("words", ODD_REQUESTS, ids=[words[:40] for words in ODD_REQUESTS])
async def test_what_is_odd_is_refused_like_everything_else(edge: EdgeClient, words: str) -> None:
    """In JSON, with a reason for programs and a sentence for people."""
    status, why, message = ODD_REQUESTS[words]
    response = await spoken(edge, words)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert reason(response) == why
    assert message in response.json()["message"]
    assert edge.upstream.seen == []


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
async def test_whoever_asks_only_for_the_head_gets_it(edge: EdgeClient, path: str) -> None:
    """As monitors do: the headers of GET, and no body."""
    head, whole = await edge.http.head(path), await edge.http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
