"""Every method there is, as the contract image has them: one that is added tomorrow is among them."""

import asyncio
from collections.abc import Sequence
from importlib import import_module

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from chassis.contract import descriptors, status
from chassis.contract.descriptors import Method
from chassis.contract.manifest import SERVED_BY_ALL
from tools.paths import ROOT


def _methods() -> list[Method]:
    image = FileDescriptorSet.FromString((ROOT / "gen" / "tradewind.binpb").read_bytes())
    found = []
    for file in image.file:
        if file.service and file.package.startswith("tradewind."):
            import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
            found += [m for service in file.service for m in descriptors.methods_of(f"{file.package}.{service.name}")]
    return found


METHODS = _methods()


def process_of(method: Method) -> str:
    """A process of a stack that serves a method: of those that every service serves, orders serves all."""
    return "orders" if method.name.startswith(SERVED_BY_ALL) else method.name.split(".")[1]


async def ask(
    channel: grpc.Channel, method: Method, metadata: Sequence[tuple[str, str]], request: Message | None = None
) -> tuple[str, str, Message | None]:
    """Calls a method with a request, an empty one by default: the code, the reason, and the first answer of a success."""
    return await asyncio.to_thread(_ask, channel, method, metadata, request or method.request_type())


def _ask(
    channel: grpc.Channel, method: Method, metadata: Sequence[tuple[str, str]], request: Message
) -> tuple[str, str, Message | None]:
    # Not by grpc.aio: it tells INTERNAL of a stream that was refused while the request was being written.
    behaviour = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming]
    call = behaviour(
        method.path,
        request_serializer=method.request_type.SerializeToString,
        response_deserializer=method.response_type.FromString,
    )
    try:
        answer = call(iter([request]) if method.client_streaming else request, metadata=metadata, timeout=10)
        return "OK", "", next(answer, None) if method.server_streaming else answer
    except grpc.RpcError as error:
        problem = status.from_rpc_error(error)
        return problem.kind.name, problem.reason, None
