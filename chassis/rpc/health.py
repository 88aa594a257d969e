"""Health by the gRPC health protocol: readiness, since it says what the process can do now. Liveness is that it answers at all.

The service as a whole (the empty name, and the name of each gRPC service) is SERVING while it can answer calls: its
database answers and its event loop keeps up. What it only needs later is told under names of its own, `broker` and
`relay`: a broker that is down costs no caller anything, since facts wait in the outbox, and taking every process out of
rotation for it would make a small outage a large one (docs/adr/0008-health.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import Gauge

from chassis.core import logs

DEPENDENCY_UP = Gauge("dependency_up", "1 while it can be used.", ("dependency",))
LOOP_LAG = Gauge("event_loop_lag_seconds", "How late the event loop was last.")

CHECK_SECONDS = 1.0
LONGEST_CHECK_SECONDS = 3.0
LONGEST_LOOP_LAG_SECONDS = 1.0

log = logs.logger(__name__)

Check = Callable[[], Awaitable[bool]]


class Health:
    """Asks the dependencies once a second and tells whoever asks or watches."""

    def __init__(self, services: Iterable[str], vital: Mapping[str, Check], informative: Mapping[str, Check]) -> None:
        self.servicer = Servicer()
        self._services = ("", *services)
        self._checks = {**vital, **informative}
        self._vital = frozenset(vital)
        self._known: dict[str, bool] = {}
        self._keeps_up = True
        self._is_draining = False

    def begin(self) -> None:
        """Says NOT_SERVING until `watch` has looked for the first time: nobody is sent to what may not be able to answer."""
        self._set(self._services, serving=False)

    async def watch(self) -> None:
        """Goes on until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            results = await asyncio.gather(*map(_is_answered_yes, self._checks.values()))
            self._tell(dict(zip(self._checks, results, strict=True)))
            due = loop.time() + CHECK_SECONDS
            await asyncio.sleep(CHECK_SECONDS)
            self._note_lag(loop.time() - due)

    def drain(self) -> None:
        """Says NOT_SERVING from now on, so that nobody sends anything new."""
        self._set(self._services, serving=False)
        self._is_draining = True

    def _note_lag(self, seconds: float) -> None:
        LOOP_LAG.set(seconds)
        self._keeps_up = seconds <= LONGEST_LOOP_LAG_SECONDS
        if not self._keeps_up:
            log.warning("event_loop_late", seconds=round(seconds, 3))

    def _tell(self, results: Mapping[str, bool]) -> None:
        for name, is_up in results.items():
            DEPENDENCY_UP.labels(name).set(is_up)
            if self._known.get(name, True) != is_up:
                log.warning("dependency_up" if is_up else "dependency_down", dependency=name)
            self._set((name,), serving=is_up)
        self._known = dict(results)
        can_serve = all(is_up for name, is_up in results.items() if name in self._vital)
        self._set(self._services, serving=can_serve and self._keeps_up)

    def _set(self, names: Iterable[str], *, serving: bool) -> None:
        if self._is_draining:
            return
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in names:
            self.servicer.set(name, status)


class Servicer(health_pb2_grpc.HealthServicer):
    """Tells whoever asks or watches, each by themselves.

    The one of grpcio-health-checking holds a lock while it writes: one who watches and does not read would keep it from
    telling anybody else, and us from draining.
    """

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._changed = asyncio.Event()

    def set(self, name: str, status: int) -> None:
        """Says so from now on."""
        self._statuses[name] = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """What is said now; NOT_FOUND for a name of which nothing is."""
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return _answer(self._statuses[request.service])

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """What is said now and whenever it has changed. What changes again before it is read is passed over."""
        told = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            if status == told:
                await changed.wait()
            else:
                await context.write(_answer(status))
                told = status


def _answer(status: int) -> health_pb2.HealthCheckResponse:
    return health_pb2.HealthCheckResponse(status=status)


async def _is_answered_yes(check: Check) -> bool:
    """What the check says. Who hangs says no: it is not waited for, not even until it has given up."""
    asked = asyncio.ensure_future(check())
    try:
        answered, _ = await asyncio.wait([asked], timeout=LONGEST_CHECK_SECONDS)
    finally:
        asked.cancel()
    return bool(answered) and asked.result()
