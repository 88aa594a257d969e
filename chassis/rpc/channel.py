"""Calls to other services: declared, bounded by deadlines, retried where the contract says so, guarded by a breaker."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self, TypeAlias

import grpc
from prometheus_client import Counter, Histogram

from chassis.contract import descriptors, status
from chassis.contract.descriptors import Caller, Method
from chassis.contract.manifest import Manifest, ManifestError
from chassis.core import deadline, errors, logs, traceparent
from chassis.core.settings import RuntimeSettings
from chassis.database import in_transaction
from chassis.rpc import call as calls
from chassis.rpc import metadata
from chassis.rpc.breaker import Breaker
from chassis.rpc.traces import Traces

HANDLED = Counter(
    "grpc_client_handled_total", "Calls to peers that ended, by code.", ("grpc_service", "grpc_method", "grpc_code")
)
SECONDS = Histogram("grpc_client_handling_seconds", "How long calls to peers took.", ("grpc_service", "grpc_method"))

log = logs.logger(__name__)


@dataclass
class Outgoing:
    """One call on its way out."""

    method: Method
    timeout: float
    metadata: list[tuple[str, str]] = field(default_factory=list)


ClientInterceptor: TypeAlias = Callable[[Outgoing], AbstractContextManager[None] | None]
"""Looks at a call before it is made, or adds to it; what it returns is around the call."""


class PeerChannel(grpc.aio.Channel):
    """A channel to one peer, for generated stubs. Every failure is raised as a `chassis.core.errors.Problem`."""

    def __init__(self, channel: grpc.aio.Channel, interceptors: tuple[ClientInterceptor, ...]) -> None:
        self._channel = channel
        self._interceptors = interceptors

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 — grpc.aio.Channel's
        return self._unary(method, self._channel.unary_unary(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._unary(method, self._channel.stream_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._stream(method, self._channel.unary_stream(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._stream(method, self._channel.stream_stream(method, *args, **kwargs))

    def _unary(self, name: str, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 — gRPC's own signature
            outgoing = _outgoing(name, timeout)
            with self._intercepted(outgoing):
                return await send(request, timeout=outgoing.timeout, metadata=tuple(outgoing.metadata))

        return call

    def _stream(self, name: str, send: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
        async def call(request: Any, *, timeout: float | None = None) -> AsyncIterator[Any]:  # noqa: ASYNC109 — as above
            outgoing = _outgoing(name, timeout)
            with self._intercepted(outgoing):
                async for response in send(request, timeout=outgoing.timeout, metadata=tuple(outgoing.metadata)):
                    yield response

        return call

    def _intercepted(self, outgoing: Outgoing) -> ExitStack:
        with ExitStack() as stack:
            for interceptor in self._interceptors:
                if around := interceptor(outgoing):
                    stack.enter_context(around)
            return stack.pop_all()

    async def close(self, grace: float | None = None) -> None:  # noqa: D102
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: D102
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:  # noqa: D102
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:  # noqa: D102
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def connect(
    peer: str,
    target: str,
    manifest: Manifest,
    settings: RuntimeSettings,
    traces: Traces,
    credentials: grpc.ChannelCredentials | None,
) -> PeerChannel:
    """A channel to `peer` at `target` (a gRPC target name). Only the calls the manifest declares can be made on it."""
    options = _options(peer, _service_config(_calls_to(peer, manifest), settings))
    channel = (
        grpc.aio.secure_channel(target, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(target, options)
    )
    breaker = Breaker(peer)
    interceptors: tuple[ClientInterceptor, ...] = (
        lambda outgoing: _declared(outgoing, manifest),
        lambda outgoing: _traced(outgoing, traces),
        _measured,
        lambda outgoing: _identified(outgoing, manifest.name, settings),
        _bounded,
        lambda outgoing: breaker.guard(short_deadline=outgoing.timeout < outgoing.method.timeout / 2),
        _raising_problems,
    )
    return PeerChannel(channel, interceptors)


def _declared(outgoing: Outgoing, manifest: Manifest) -> None:
    """Refuses what the manifest does not name, and any call in the middle of a transaction: both are bugs."""
    if outgoing.method.name not in manifest.calls:
        raise errors.PermissionDenied(
            f"{manifest.package}/service.yaml does not name {outgoing.method.name} among its calls",
            reason="CALL_NOT_DECLARED",
        )
    if in_transaction():
        raise RuntimeError(
            f"{outgoing.method.name} was called in the middle of a transaction, which would hold its locks meanwhile"
        )


@contextmanager
def _traced(outgoing: Outgoing, traces: Traces) -> Iterator[None]:
    """Sends the trace along, with a span of its own when it is sampled."""
    with traces.call(outgoing.method.name) as context:
        outgoing.metadata.append((traceparent.KEY, context))
        yield


@contextmanager
def _measured(outgoing: Outgoing) -> Iterator[None]:
    """Counts the call and its code, and how long it took."""
    began = time.perf_counter()
    code = "CANCELLED"
    try:
        yield
        code = "OK"
    except errors.Problem as problem:
        code = problem.kind.name
        raise
    finally:
        _handled(outgoing.method, code).inc()
        _seconds(outgoing.method).observe(time.perf_counter() - began)


def _identified(outgoing: Outgoing, name: str, settings: RuntimeSettings) -> None:
    """Says which service calls, for which request, and, where the peer asks for one, for which user."""
    if settings.peer_identity == "asserted":
        outgoing.metadata.append((metadata.ASSERTED_PEER, name))
    call = calls.current()
    if call is not None:
        outgoing.metadata.append((metadata.REQUEST_ID, call.request_id))
        if call.token and outgoing.method.caller in (Caller.CUSTOMER, Caller.STAFF):
            outgoing.metadata.append((metadata.AUTHORIZATION, f"Bearer {call.token}"))


def _bounded(outgoing: Outgoing) -> None:
    """Gives the call no more time than there is."""
    outgoing.timeout = deadline.shrunk(outgoing.timeout)


@contextmanager
def _raising_problems(outgoing: Outgoing) -> Iterator[None]:
    """Turns what gRPC raises into what this code base raises."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        problem = status.from_rpc_error(error)
        if problem.reason == f"PEER_{error.code().name}":
            # These are gRPC's own words, and name addresses: they are for the log, and not for whoever called us.
            log.warning("peer_failed", method=outgoing.method.name, details=problem.message)
            problem.message = "a service that is needed for this did not answer"
        raise problem from None


def _outgoing(name: str, timeout: float | None) -> Outgoing:
    method = descriptors.method(name)
    return Outgoing(method, method.timeout if timeout is None else min(timeout, method.timeout))


@cache
def _handled(method: Method, code: str) -> Counter:
    return HANDLED.labels(method.service, method.short_name, code)


@cache
def _seconds(method: Method) -> Histogram:
    return SECONDS.labels(method.service, method.short_name)


def _options(peer: str, service_config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.enable_retries", 1),
        # Each channel its own connection: channels to one target would else share it, and its fate.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.default_authority", peer),
        ("grpc.ssl_target_name_override", peer),
        # The server allows a ping every 10 s (chassis.process.host).
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Also how long a connection may take to be made.
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def _calls_to(peer: str, manifest: Manifest) -> list[Method]:
    names = sorted(name for name in manifest.calls if name.startswith(f"tradewind.{peer}."))
    if not names:
        raise ManifestError(f"{manifest.package}/service.yaml names no call to {peer}")
    return [descriptors.method(name) for name in names]


def _service_config(methods: list[Method], settings: RuntimeSettings) -> dict[str, Any]:
    """Retries by gRPC itself, for the declared calls the contract allows them for. Throttled, so that they cannot pile up."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if settings.retries == "chassis":
        config["retryThrottling"] = {"maxTokens": 20, "tokenRatio": 0.2}
        config["methodConfig"] = [_method_config(method) for method in methods if method.is_retryable]
    return config


def _method_config(method: Method) -> dict[str, Any]:
    return {
        "name": [{"service": method.service, "method": method.short_name}],
        "retryPolicy": {
            "maxAttempts": 4,
            "initialBackoff": "0.05s",
            "maxBackoff": "0.5s",
            "backoffMultiplier": 2,
            # A server that stops says CANCELLED to what it has received and not begun. Who cancels here is not retried.
            "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
        },
    }
