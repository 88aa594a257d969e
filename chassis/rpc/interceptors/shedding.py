"""Load shedding: beyond the limit a call is refused before any work is done for it, so that the others stay fast."""

from datetime import timedelta
from functools import partial

from prometheus_client import Counter, Gauge

from chassis.core import errors
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

RUNNING = Gauge("grpc_server_running", "RPCs running now.", ("kind",))
SHED = Counter("grpc_server_shed_total", "RPCs refused because too many were running.", ("kind",))


class Shed:
    """Limits the concurrency. Calls and streams have a limit each, which is a bulkhead: watchers must not crowd out calls."""

    def __init__(self, max_calls: int, max_streams: int) -> None:
        self._limits = {"calls": max_calls, "streams": max_streams}
        self._running = {"calls": 0, "streams": 0}
        for kind in self._running:
            RUNNING.labels(kind).set_function(partial(self._running.__getitem__, kind))

    async def __call__(self, call: Call, proceed: Proceed) -> None:
        """Proceeds, or raises ResourceExhausted SERVER_BUSY."""
        kind = "streams" if call.method.client_streaming or call.method.server_streaming else "calls"
        if self._running[kind] >= self._limits[kind]:
            SHED.labels(kind).inc()
            raise errors.ResourceExhausted(
                f"the server already works on {self._limits[kind]} {kind}: slow down",
                reason="SERVER_BUSY",
                retry_after=timedelta(milliseconds=200),
            )
        self._running[kind] += 1
        try:
            await proceed(call)
        finally:
            self._running[kind] -= 1
