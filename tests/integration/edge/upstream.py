"""An edge in front of services that only listen: they note what reaches them and answer what a test tells them to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from chassis.contract import descriptors, manifest
from chassis.testing import Tokens
from tools.codegen.edge import image, methods
from tools.paths import ROOT
from tools.stack.addresses import FreePorts
from tools.stack.edge import Edge
from tools.stack.state import StateDir
from tools.stack.topology import Instance, Topology
from tradewind.catalog.v1 import catalog_service_pb2
from tradewind.identity.v1 import identity_service_pb2
from tradewind.inventory.v1 import inventory_service_pb2
from tradewind.notifications.v1 import notification_service_pb2
from tradewind.orders.v1 import order_service_pb2
from tradewind.payments.v1 import payment_service_pb2

PROTOS = (
    catalog_service_pb2,
    identity_service_pb2,
    inventory_service_pb2,
    notification_service_pb2,
    order_service_pb2,
    payment_service_pb2,
)
REACHABLE = methods.reachable(image.load(ROOT / "gen/tradewind.binpb"))

Answer = Callable[[Message, grpc.aio.ServicerContext], Awaitable[Message] | AsyncIterator[Message]]


@dataclass
class Seen:
    """A call that reached a service."""

    method: str
    instance: str
    request: Message | None
    metadata: dict[str, str]


@dataclass
class Upstream:
    """The services behind the edge. What is not in `answers`, by the short name of a method, is answered empty."""

    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    healths: dict[str, health.HealthServicer] = field(default_factory=dict)
    servers: dict[str, grpc.aio.Server] = field(default_factory=dict)

    def last(self) -> Seen:
        """The latest call."""
        return self.seen[-1]

    async def serve(self, instance: Instance) -> None:
        """Be one process of a service."""
        server = grpc.aio.server()
        for service in {
            m.service for m in map(descriptors.method, _method_names()) if _owner(m.service) == instance.manifest.name
        }:
            handlers = {m.short_name: self._handler(m, instance.name) for m in descriptors.methods_of(service)}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.healths[instance.name] = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.healths[instance.name], server)
        await self.healths[instance.name].set("", health_pb2.HealthCheckResponse.SERVING)
        server.add_insecure_port(instance.address)
        await server.start()
        self.servers[instance.name] = server

    async def not_serving(self, instance: str) -> None:
        """Let a process say that it is not serving, as one does that is about to stop."""
        await self.healths[instance].set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    def _handler(self, method: descriptors.Method, instance: str) -> grpc.RpcMethodHandler:
        def note(request: Message | None, context: grpc.aio.ServicerContext) -> None:
            metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
            self.seen.append(Seen(method.short_name, instance, request, metadata))

        async def unary(request: Message, context: grpc.aio.ServicerContext) -> Message:
            note(request, context)
            if answer := self.answers.get(method.short_name):
                return await answer(request, context)
            return method.response_type()

        async def server_stream(request: Message, context: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
            note(request, context)
            async for message in self.answers[method.short_name](request, context):
                yield message

        async def client_stream(requests: AsyncIterator[Message], context: grpc.aio.ServicerContext) -> Message:
            async for request in requests:
                note(request, context)
            return method.response_type()

        async def bidi(requests: AsyncIterator[Message], context: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
            async for request in requests:
                note(request, context)
                yield method.response_type()

        make, behaviour = {
            "unary": (grpc.unary_unary_rpc_method_handler, unary),
            "server_stream": (grpc.unary_stream_rpc_method_handler, server_stream),
            "client_stream": (grpc.stream_unary_rpc_method_handler, client_stream),
            "bidi_stream": (grpc.stream_stream_rpc_method_handler, bidi),
        }[method.type]
        return make(behaviour, method.request_type.FromString, method.response_type.SerializeToString)


@asynccontextmanager
async def running_edge(directory: Path, tokens: Tokens) -> AsyncIterator[tuple[Edge, Upstream]]:
    """A real Envoy before two processes of each service, and the keys of `tokens` at identity's address."""
    ports = FreePorts()
    services = [each for each in manifest.find(ROOT) if each.package.startswith("services.")]
    topology = Topology(services, 2, ports)
    upstream = Upstream()
    for instance in topology.instances:
        await upstream.serve(instance)
    keys = [await _serve_keys(instance, tokens) for instance in topology.of("identity")]
    edge = Edge(StateDir(directory), topology, ports(8080), ports(8081))
    await asyncio.to_thread(edge.start)
    try:
        yield edge, upstream
    finally:
        await asyncio.to_thread(edge.stop)
        for server in upstream.servers.values():
            await server.stop(0)
        for server in keys:
            server.close()


async def _serve_keys(instance: Instance, tokens: Tokens) -> asyncio.Server:
    """Answer every HTTP request with the published keys."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        keys = await tokens.fetch()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(keys)}\r\nconnection: close"
        writer.write(head.encode() + b"\r\n\r\n" + keys)
        await writer.drain()
        writer.close()

    host, _, port = instance.operations_address.rpartition(":")
    return await asyncio.start_server(answer, host, int(port))


def _method_names() -> list[str]:
    return [
        f"{service.full_name}/{method.name}"
        for module in PROTOS
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def _owner(service: str) -> str:
    return service.split(".")[1]
