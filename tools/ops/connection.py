"""How the tool reaches a service: any address with a token, or a service of the local stack as its staff."""

import os
import uuid
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from tools.stack import state
from tools.stack.commands import default_directory
from tools.stack.errors import StackError
from tools.stack.state import Record, StateDir
from tradewind.identity.v1.identity_service_pb2 import LoginRequest
from tradewind.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

TOKEN_VARIABLE = "TRADEWIND_TOKEN"  # noqa: S105 — a name, no secret
LOGIN_SECONDS = 10.0
CALL_SECONDS = 10.0

Answer = TypeVar("Answer", bound=Message)


class Connection:
    """A channel to one service, and the token its calls are made with."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def ask(
        self, method: Callable[..., Awaitable[Answer]], request: Message, *, seconds: float = CALL_SECONDS
    ) -> Answer:
        """What a method of a stub answers, as the token's user, within so many seconds. Raises grpc.aio.AioRpcError."""
        return await method(request, metadata=self._metadata, timeout=seconds)

    async def close(self) -> None:
        """Hang up."""
        await self.channel.close()


async def connect(arguments: Namespace) -> Connection:
    """The service the command line names. Raises StackError when it cannot be told where that is, or by what token."""
    token = _given_token(arguments)
    if arguments.address:
        if not token:
            raise StackError(f"--address needs a token of staff: --token-file FILE, or ${TOKEN_VARIABLE}")
        return Connection(_channel(arguments.address, arguments), token)
    directory = default_directory()
    record = state.running(directory)
    address = _address(record, arguments.service)
    return Connection(grpc.aio.insecure_channel(address), token or await _log_in(directory, record))


def _given_token(arguments: Namespace) -> str:
    if not arguments.token_file:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    return _read(arguments.token_file).decode().strip()


def _channel(address: str, arguments: Namespace) -> grpc.aio.Channel:
    if not arguments.tls:
        return grpc.aio.insecure_channel(address)
    authority, key, certificate = (
        _read(path) if path else None for path in (arguments.ca_file, arguments.key_file, arguments.cert_file)
    )
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}") from None


def _address(record: Record, service: str) -> str:
    """Where a process of the stack listens: `orders`, or `orders-2` for the second of them."""
    address = {process.name: process.address for process in record.processes}.get(service)
    if address is None:
        raise StackError(f"no service called {service!r} runs here; ./taskw status shows what there is")
    return address


async def _log_in(directory: StateDir, record: Record) -> str:
    """An access token of the local stack's own staff account, by identity's front door."""
    email, password = (
        _read(directory.secrets("identity") / each).decode() for each in ("staff_email", "staff_password")
    )
    request = LoginRequest(request_id=str(uuid.uuid4()), email=email, password=password)
    async with grpc.aio.insecure_channel(_address(record, "identity")) as channel:
        answer = await IdentityServiceStub(channel).Login(request, timeout=LOGIN_SECONDS)
    return answer.tokens.access_token
