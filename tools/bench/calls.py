"""CPU per call of a small unary method: bare grpc.aio, with stock OpenTelemetry interceptors, behind the full chassis."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import grpc

from chassis.contract import descriptors
from tools.bench.processes import Meter
from tools.bench.servers import SERVICE
from tools.paths import ROOT
from tradewind.inventory.v1.inventory_service_pb2 import GetAvailabilityRequest
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

BARE: Final = "bare"
KINDS: Final = (BARE, "opentelemetry", "chassis")
ROUNDS: Final = 5
CALLS_PER_ROUND: Final = 4_000
WARM_UP_CALLS: Final = 1_000
CALLERS: Final = 8
METHOD: Final = descriptors.method(f"{SERVICE}/GetAvailability")


@dataclass(frozen=True)
class Figure:
    """Medians of all rounds."""

    cpu_microseconds_per_call: float
    calls_per_second: float


@dataclass
class _Server:
    """One of `tools.bench.servers`, and what its rounds came to."""

    pid: int
    port: int
    token: str
    cpu_microseconds: list[float] = field(default_factory=list)
    calls_per_second: list[float] = field(default_factory=list)

    async def round(self) -> None:
        """Calls it from several callers at once, and notes what that took."""
        meter, began = Meter.started({"server": self.pid}), time.perf_counter()
        await self.call(CALLS_PER_ROUND)
        self.calls_per_second.append(CALLS_PER_ROUND / (time.perf_counter() - began))
        self.cpu_microseconds.append(1e6 * meter.read()["server"] / CALLS_PER_ROUND)

    async def call(self, count: int) -> None:
        """Calls it so many times."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            callers = (self._call(InventoryServiceStub(channel), count // CALLERS) for _ in range(CALLERS))
            await asyncio.gather(*callers)

    async def _call(self, stub: InventoryServiceStub, count: int) -> None:
        """As a peer calls: with an identity, and with the deadline its contract gives it."""
        request = GetAvailabilityRequest(skus=["LANTERN-RED"])
        metadata = (("authorization", f"Bearer {self.token}"), ("x-tradewind-peer", "edge"))
        for _ in range(count):
            await stub.GetAvailability(request, metadata=metadata, timeout=METHOD.timeout)

    @property
    def figure(self) -> Figure:
        return Figure(median(self.cpu_microseconds), median(self.calls_per_second))


async def measure(kinds: Sequence[str] = KINDS) -> dict[str, Figure]:
    """The figure of each server. They take turns, so that whatever else runs here meets all of them."""
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(_running(kind)) for kind in kinds}
        for server in servers.values():
            await server.call(WARM_UP_CALLS)
        for _ in range(ROUNDS):
            for server in servers.values():
                await server.round()
        return {kind: server.figure for kind, server in servers.items()}


async def bare_cpu_microseconds() -> float:
    """What a call costs a server that does nothing else: how fast this machine is, now."""
    return (await measure([BARE]))[BARE].cpu_microseconds_per_call


@contextmanager
def _running(kind: str) -> Iterator[_Server]:
    command = [sys.executable, "-m", "tools.bench.servers", kind]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port, token = process.stderr.readline().split()
        try:
            yield _Server(process.pid, int(port), token)
        finally:
            process.kill()
