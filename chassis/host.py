"""The life of a process: what is brought up in which order, and how it is drained so that no call and no fact is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from inspect import isawaitable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.trace import TracerProvider

from chassis import credentials, logs, manifest, tokens
from chassis.background import Background, Work
from chassis.broker import Broker
from chassis.clock import Clock, SystemClock
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.handlers import Handlers
from chassis.health import Check, Health
from chassis.idempotency import RequestStore
from chassis.interceptors import Interceptor
from chassis.manifest import Manifest
from chassis.operations import OperationsServer
from chassis.relay import Relay
from chassis.runtime import Runtime, Service, Wiring
from chassis.settings import RuntimeSettings, SettingsError
from chassis.tokens import KeyRing, TokenVerifier
from chassis.traces import Traces, traces

Interceptors = Callable[
    [RuntimeSettings, Traces, TokenVerifier, Mapping[str, frozenset[str]], RequestStore | None], tuple[Interceptor, ...]
]

SWEEP_SECONDS = 3600.0
LONGEST_RELAY_LAG_SECONDS = 30.0
LAST_GRACE_SECONDS = 0.5

log = logs.logger(__name__)


class Host:
    """One process of one service."""

    def __init__(
        self,
        declared: Manifest,
        own: RuntimeSettings,
        interceptors: Interceptors,
        *,
        clock: Clock | None = None,
        keys: tokens.Fetch | None = None,
        spans: TracerProvider | None = None,
    ) -> None:
        self._own = own
        self._manifest = declared
        self._interceptors = interceptors
        self._keys = keys or tokens.http_fetch(own.jwks_url)
        self._background = Background()
        self._closing = AsyncExitStack()
        self.database = _database(declared, own)
        self._traces = traces(declared.name, own, spans)
        self.runtime = Runtime(declared, own, clock or SystemClock(), self._traces, self.database)
        self.port = 0

    async def start(self, wiring: Wiring) -> None:
        """Brings everything up. What it depends on may be down: it then says NOT_SERVING until that has come back."""
        if self.database:
            await self.database.open()
            self._closing.push_async_callback(self.database.close)
        service = wiring(self.runtime)
        service = await service if isawaitable(service) else service
        for channel in self.runtime.channels.values():
            self._closing.push_async_callback(channel.close)
        facts = self._facts(service)
        self._health = Health(service.servicers, self._vital(), facts.checks)
        await self._start_server(service)
        self._operations = OperationsServer(self._own.operations_address, service.http_routes)
        self._operations.start()
        self._background.start([self._health.watch, *self._sweeps(), *facts.works, *service.background])
        log.info("started", port=self.port, operations_port=self._operations.port)

    async def stop(self) -> None:
        """Drains: nothing new is sent to us, what runs finishes, then everything is closed."""
        log.info("draining", seconds=self._own.drain_seconds)
        await self._health.drain()
        await asyncio.sleep(self._own.drain_seconds)
        await self._background.stop()
        await self._finish_calls()
        await self._closing.aclose()
        self._operations.stop()
        log.info("stopped")

    async def _finish_calls(self) -> None:
        """Takes no new calls, and lets those under way end."""
        stopping = asyncio.create_task(self._server.stop(self._own.grace_seconds))
        await self._handlers.finished(self._own.grace_seconds)
        # What is left are those who watch our health, for ever, and what has only just arrived.
        await self._server.stop(min(LAST_GRACE_SECONDS, self._own.grace_seconds))
        await stopping
        await self._handlers.finished(self._own.grace_seconds)

    async def _start_server(self, service: Service) -> None:
        requests = self._request_store()
        verifier = TokenVerifier(KeyRing(self._keys), self._own.token_issuer, self._own.token_audience)
        chain = self._interceptors(self._own, self._traces, verifier, manifest.callers(), requests)
        self._handlers = Handlers(chain)
        self._server = grpc.aio.server(options=_options(self._own))
        self._server.add_generic_rpc_handlers(self._handlers.of(service.servicers))
        _add_standard_services(self._server, self._health, service, self._own)
        self.port = _bind(self._server, self._own)
        await self._server.start()

    def _facts(self, service: Service) -> "_Facts":
        """The broker, and what publishes to it and hears from it."""
        if self.database is None or not self._own.nats_url or not (self._manifest.publishes | self._manifest.consumes):
            return _Facts({}, [])
        broker = Broker(self._own.nats_url, self._manifest.name, self._own.nats_password)
        broker.open()
        self._closing.push_async_callback(broker.close)
        relay = Relay(self.database, broker)
        consumer = Consumer(self._manifest, self.database, broker, service.subscriptions)

        async def relay_keeps_up() -> bool:
            return relay.lag_seconds < LONGEST_RELAY_LAG_SECONDS

        checks: dict[str, Check] = {"broker": broker.is_connected, "relay": relay_keeps_up}
        return _Facts(checks, [relay.run, consumer.run, _hourly(relay.sweep), _hourly(consumer.sweep)])

    def _vital(self) -> dict[str, Check]:
        return {"database": self.database.is_reachable} if self.database else {}

    def _request_store(self) -> RequestStore | None:
        if self.database is None:
            return None
        if not self._own.reply_key:
            raise SettingsError("secret reply_key is missing: put it into $TRADEWIND_SECRETS_DIR/reply_key (mode 0600)")
        return RequestStore(self.database, self._own.reply_key.encode())

    def _sweeps(self) -> list[Work]:
        requests = self._request_store()
        return [_hourly(requests.sweep)] if requests else []


@dataclass(frozen=True)
class _Facts:
    checks: Mapping[str, Check]
    works: list[Work]


def _hourly(sweep: Callable[[], Awaitable[None]]) -> Work:
    async def sweep_hourly() -> None:
        while True:
            await sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    return sweep_hourly


def _database(declared: Manifest, own: RuntimeSettings) -> Database | None:
    if not declared.database:
        return None
    if not own.database_url:
        raise SettingsError(
            "secret database_url is missing: put it into $TRADEWIND_SECRETS_DIR/database_url (mode 0600)"
        )
    return Database(own.database_url, name=declared.name, max_connections=own.database_pool_size)


def _options(own: RuntimeSettings) -> list[tuple[str, int]]:
    return [
        # By default a second process may bind the same port, and silently take half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", own.max_message_bytes),
        ("grpc.max_send_message_length", own.max_message_bytes),
        ("grpc.max_metadata_size", own.max_metadata_bytes),
        ("grpc.max_concurrent_streams", own.max_concurrent_streams),
        # Half of the clients' ping interval (chassis.channel), or they are thrown out for pinging too often.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]


def _bind(server: grpc.aio.Server, own: RuntimeSettings) -> int:
    encrypted = credentials.server(own)
    try:
        if encrypted:
            return server.add_secure_port(own.grpc_address, encrypted)
        return server.add_insecure_port(own.grpc_address)
    except RuntimeError:
        raise SettingsError(f"TRADEWIND_GRPC_ADDRESS: {own.grpc_address} cannot be bound; is it in use?") from None


def _add_standard_services(server: grpc.aio.Server, health: Health, service: Service, own: RuntimeSettings) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    if own.environment == "development":
        names = (*service.servicers, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
