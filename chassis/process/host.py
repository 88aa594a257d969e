"""Start and graceful shutdown of a process: the order in which its parts come up, and are drained so that no call is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from inspect import isawaitable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.trace import TracerProvider
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from chassis import operations
from chassis.contract.manifest import Manifest, callers
from chassis.core import logs
from chassis.core.background import Background, Work
from chassis.core.clock import Clock, SystemClock
from chassis.core.settings import RuntimeSettings, SettingsError, keyring, required
from chassis.database import Database
from chassis.messaging.facts import Facts
from chassis.process.operations import OperationsServer
from chassis.process.runtime import Runtime, Service, Wiring
from chassis.rpc import credentials, reflection, tokens
from chassis.rpc.handlers import Handlers
from chassis.rpc.health import Check, Health
from chassis.rpc.idempotency import RequestStore
from chassis.rpc.interceptors import server_interceptors
from chassis.rpc.tokens import PublishedKeys, TokenVerifier
from chassis.rpc.traces import traces

SWEEP_SECONDS = 3600.0
LAST_GRACE_SECONDS = 0.5

log = logs.logger(__name__)


class Host:
    """One process of one service."""

    def __init__(
        self,
        manifest: Manifest,
        settings: RuntimeSettings,
        *,
        clock: Clock | None = None,
        keys: tokens.Fetch | None = None,
        spans: TracerProvider | None = None,
    ) -> None:
        self._settings = settings
        self._manifest = manifest
        self._keys = keys or _published_keys(settings)
        self._background = Background()
        self._closing = AsyncExitStack()
        self.database = _database(manifest, settings)
        self._traces = traces(manifest.name, settings, spans)
        self.runtime = Runtime(manifest, settings, clock or SystemClock(), self._traces, self.database)
        self._requests = _request_store(self.database, settings)
        self.port = self.operations_port = 0

    async def start(self, wiring: Wiring) -> None:
        """Brings everything up. What it depends on may be down: it then says NOT_SERVING until that has come back."""
        try:
            await self._bring_up(wiring)
        except BaseException:
            # Half a process must not linger.
            await self._background.stop()
            await self._closing.aclose()
            raise

    async def stop(self) -> None:
        """Graceful shutdown: nothing new is sent to us, what runs finishes, then everything is closed."""
        log.info("draining", seconds=self._settings.drain_seconds)
        self._health.drain()
        await asyncio.sleep(self._settings.drain_seconds)
        await self._background.stop()
        await self._finish_calls()
        await self._closing.aclose()
        log.info("stopped")

    @property
    def is_held_up(self) -> bool:
        """Whether some work would not let go, though everything else is closed."""
        return self._background.is_running

    async def _bring_up(self, wiring: Wiring) -> None:
        if self.database:
            await self.database.open()
            self._closing.push_async_callback(self.database.close)
        service = wiring(self.runtime)
        service = self._operated(await service if isawaitable(service) else service)
        for channel in self.runtime.channels.values():
            self._closing.push_async_callback(channel.close)
        facts = self._open_facts(service)
        self._health = Health(service.servicers, self._vital(), facts.checks if facts else {})
        self._health.begin()
        self._start_operations(service)
        await self._start_server(service)
        sweeps = [*([self._requests.sweep] if self._requests else []), *(facts.sweeps if facts else [])]
        works = [self._health.watch, *map(_hourly, sweeps), *(facts.works if facts else []), *service.background]
        self._background.start(works)
        log.info("started", port=self.port)

    def _operated(self, service: Service) -> Service:
        """The service with what the chassis adds to it: its sagas' drivers at work, and tradewind.operations.v1."""
        background = [*(driver.run for driver in service.sagas), *service.background]
        if self.database is None:
            return replace(service, background=background)
        runtime = self.runtime
        added = operations.servicers(self.database, runtime.clock, runtime.pages, service.sagas)
        return replace(service, servicers={**service.servicers, **added}, background=background)

    async def _finish_calls(self) -> None:
        """Takes no new calls, and lets those under way end, also those that have only just arrived."""
        stopping = asyncio.create_task(self._server.stop(self._settings.grace_seconds))
        while not stopping.done():
            await asyncio.wait({stopping}, timeout=min(LAST_GRACE_SECONDS, self._settings.grace_seconds))
            if self._handlers.are_idle:
                break
            await self._handlers.finished(self._settings.grace_seconds)
        # What is left are those who watch our health, for ever.
        await self._server.stop(0)
        await stopping
        await self._handlers.finished(self._settings.grace_seconds)

    def _open_facts(self, service: Service) -> Facts | None:
        if (
            self.database is None
            or not self._settings.nats_url
            or not (self._manifest.publishes | self._manifest.consumes)
        ):
            return None
        facts = Facts(self._manifest, self._settings, self.database, service.subscriptions)
        facts.open()
        self._closing.push_async_callback(facts.close)
        return facts

    def _start_operations(self, service: Service) -> None:
        try:
            server = OperationsServer(self._settings.operations_address, service.http_routes)
        except OSError:
            raise _not_bound("OPERATIONS", self._settings.operations_address) from None
        server.start()
        self.operations_port = server.port
        self._closing.callback(server.stop)

    async def _start_server(self, service: Service) -> None:
        verifier = TokenVerifier(PublishedKeys(self._keys), self._settings.token_issuer, self._settings.token_audience)
        chain = server_interceptors(self._settings, self._traces, verifier, callers(), self._requests)
        self._handlers = Handlers(chain)
        self._server = grpc.aio.server(options=_options(self._settings))
        self._server.add_generic_rpc_handlers(self._handlers.of(service.servicers))
        _add_standard_services(self._server, self._health, service, self._settings)
        self.port = _bind(self._server, self._settings)
        await self._server.start()

    def _vital(self) -> dict[str, Check]:
        return {"database": self.database.is_reachable} if self.database else {}


def _hourly(sweep: Callable[[], Awaitable[None]]) -> Work:
    async def sweep_hourly() -> None:
        while True:
            await sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    return sweep_hourly


def _published_keys(settings: RuntimeSettings) -> tokens.Fetch:
    # Fetched when the first token comes, which is too late to hear that there is nowhere to fetch them from.
    if not settings.jwks_url.startswith(("http://", "https://")):
        example = "http://identity:9000/.well-known/jwks.json"
        raise SettingsError(f"TRADEWIND_JWKS_URL: {settings.jwks_url!r} is no http(s) URL of keys; {example} is one")
    return tokens.http_fetch(settings.jwks_url)


def _database(manifest: Manifest, settings: RuntimeSettings) -> Database | None:
    if not manifest.database:
        return None
    url = required("database_url", settings.database_url).reveal()
    _check_address("database_url", url)
    replica_url = settings.database_replica_url.reveal() if settings.database_replica_url else None
    if replica_url:
        _check_address("database_replica_url", replica_url)
    return Database(
        url,
        name=manifest.name,
        max_connections=settings.database_pool_size,
        pooler=settings.database_pooler,
        replica_url=replica_url,
    )


def _check_address(name: str, url: str) -> None:
    try:
        conninfo_to_dict(url)
    except ProgrammingError:  # which shows a part of it, as the pool would in the log, again and again
        example = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
        raise SettingsError(f"secret {name} is no address; {example} is one, its parts percent-encoded") from None


def _request_store(database: Database | None, settings: RuntimeSettings) -> RequestStore | None:
    if database is None:
        return None
    return RequestStore(database, keyring("reply_key", settings.reply_key))


def _options(settings: RuntimeSettings) -> list[tuple[str, int]]:
    return [
        # By default a second process may bind the same port, and silently take half of the calls.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        # Half of the clients' ping interval (chassis.rpc.channel), or they are thrown out for pinging too often.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
    ]


def _bind(server: grpc.aio.Server, settings: RuntimeSettings) -> int:
    encrypted = credentials.server(settings)
    try:
        if encrypted:
            return server.add_secure_port(settings.grpc_address, encrypted)
        return server.add_insecure_port(settings.grpc_address)
    except RuntimeError:
        raise _not_bound("GRPC", settings.grpc_address) from None


def _not_bound(which: str, address: str) -> SettingsError:
    return SettingsError(f"TRADEWIND_{which}_ADDRESS: {address} cannot be bound; is it in use?")


def _add_standard_services(
    server: grpc.aio.Server, health: Health, service: Service, settings: RuntimeSettings
) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    if settings.environment == "development":
        names = (*service.servicers, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable(names, server)
