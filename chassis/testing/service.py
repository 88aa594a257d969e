"""A service in this process: on a unix socket, behind its real interceptors, on its real database."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.trace import TracerProvider

from chassis.contract import manifest as manifests
from chassis.core import logs
from chassis.core.clock import Clock
from chassis.core.secret import Secret
from chassis.core.settings import RuntimeSettings
from chassis.database import Database
from chassis.process.host import Host
from chassis.process.runtime import Wiring
from chassis.rpc.metadata import ASSERTED_PEER, AUTHORIZATION
from chassis.testing.tokens import Tokens


class RunningService:
    """A service to call."""

    def __init__(self, host: Host, target: str, tokens: Tokens) -> None:
        self._host = host
        self.target = target
        self.tokens = tokens
        """The issuer whose tokens it accepts."""
        self._stopping: asyncio.Task[None] | None = None
        self._channels: list[grpc.aio.Channel] = []

    @property
    def operations_port(self) -> int:
        """Where it serves its metrics, on loopback."""
        return self._host.operations_port

    @property
    def database(self) -> Database:
        """The service's database."""
        return self._host.runtime.database

    def channel(self, *, peer: str = "", token: str = "", **metadata: str) -> grpc.aio.Channel:
        """A plain gRPC channel whose calls say they come from `peer`, on behalf of `token`'s user. Errors are AioRpcErrors."""
        told = {**({ASSERTED_PEER: peer} if peer else {}), **({AUTHORIZATION: f"Bearer {token}"} if token else {})}
        channel = grpc.aio.insecure_channel(
            self.target, interceptors=_adding({**told, **{k.replace("_", "-"): v for k, v in metadata.items()}})
        )
        self._channels.append(channel)
        return channel

    async def stop(self) -> None:
        """Drains the service, once."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._host.stop())
        await self._stopping

    async def close(self) -> None:
        """Closes the channels, then drains the service."""
        for channel in self._channels:
            await channel.close()
        await self.stop()


@asynccontextmanager
async def running(
    wiring: Wiring,
    package: str,
    *,
    database_url: str | None = None,
    nats_url: str = "",
    tokens: Tokens | None = None,
    clock: Clock | None = None,
    spans: TracerProvider | None = None,
    **settings: Any,
) -> AsyncIterator[RunningService]:
    """The service of `package`, for the block. Further `settings` are fields of RuntimeSettings."""
    with tempfile.TemporaryDirectory(prefix="tradewind-") as directory:
        target = f"unix:{Path(directory) / 'grpc.sock'}"
        runtime_settings = replace(_settings(target, database_url, nats_url), **settings)
        issuer = tokens or Tokens()
        manifest = manifests.of_package(package)
        logs.configure(manifest.name, runtime_settings.version, runtime_settings.log_level, for_good=False)
        host = Host(manifest, runtime_settings, clock=clock, keys=issuer.fetch, spans=spans)
        await host.start(wiring)
        service = RunningService(host, target, issuer)
        try:
            yield service
        finally:
            await service.close()


def _settings(target: str, database_url: str | None, nats_url: str) -> RuntimeSettings:
    return RuntimeSettings(
        grpc_address=target,
        operations_address="127.0.0.1:0",
        database_url=Secret(database_url) if database_url else None,
        nats_url=nats_url,
        reply_key=Secret("00" * 32),
        page_key=Secret("11" * 32),
        drain_seconds=0,
        grace_seconds=2,
        log_level="warning",
    )


def _adding(metadata: dict[str, str]) -> list[grpc.aio.ClientInterceptor]:
    pairs = tuple(metadata.items())
    return [kind(pairs) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]


class _Adding:
    """Adds metadata to every call of a plain channel: one method for each of gRPC's four kinds."""

    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._metadata = metadata

    def _with_metadata(self, details: Any) -> Any:
        return details._replace(metadata=grpc.aio.Metadata(*(details.metadata or ()), *self._metadata))


class _UnaryUnary(_Adding, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._with_metadata(client_call_details), request)


class _UnaryStream(_Adding, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._with_metadata(client_call_details), request)


class _StreamUnary(_Adding, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self._with_metadata(client_call_details), request_iterator)


class _StreamStream(_Adding, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self._with_metadata(client_call_details), request_iterator)
