"""The whole stack as a person has it, on ports and in a directory of its own: seconds to healthy, memory, CPU at rest."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from tools.bench.processes import Memory, Meter, Processes
from tools.bench.shop import BenchShop
from tools.paths import ROOT
from tools.stack import state
from tools.stack.state import Record, StateDir

STARTS: Final = 3
ORDERS_BEFORE_MEMORY: Final = 300
REST_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Running:
    """A stack that is up."""

    directory: StateDir
    seconds_to_healthy: float
    """Of `up` as a whole, from the first byte of Python to its table; PostgreSQL's cluster had to be made."""

    @property
    def record(self) -> Record:
        """What runs."""
        record = state.read(self.directory)
        assert record is not None
        return record

    @property
    def pids(self) -> dict[str, int]:
        """Every process by name, the supervisor among them."""
        record = self.record
        return {each.name: each.pid for each in (*record.processes, record.supervisor) if each.pid is not None}

    def address(self, name: str) -> str:
        """Where a process listens."""
        return next(each.address for each in self.record.processes if each.name == name)


@dataclass(frozen=True)
class Figures:
    """What it takes to have a stack."""

    seconds_to_healthy: float
    """The median of `starts`."""
    starts: list[float]
    memory: dict[str, Memory]
    """By process, after some orders."""
    idle_cpu_percent: dict[str, float]
    """By process, of one core, when nobody asks for anything."""


async def measure() -> Figures:
    """Starts a stack several times, each from nothing; the last one also serves some orders, and rests."""
    starts = []
    for _ in range(STARTS - 1):
        with running() as stack:
            starts.append(stack.seconds_to_healthy)
    with running() as stack:
        starts.append(stack.seconds_to_healthy)
        async with BenchShop.open(stack.address("edge"), stack.directory) as shop:
            await shop.sell(ORDERS_BEFORE_MEMORY)
        held = Processes(stack.pids).memory()
        return Figures(median(starts), starts, held, await _idle(stack))


async def _idle(stack: Running) -> dict[str, float]:
    meter = Meter.started(stack.pids)
    await asyncio.sleep(REST_SECONDS)
    return {name: 100 * seconds / REST_SECONDS for name, seconds in meter.read().items()}


@contextmanager
def running() -> Iterator[Running]:
    """A stack for the block, brought up and taken down by the commands a person uses."""
    with TemporaryDirectory(prefix="tradewind-bench-") as directory:
        began = time.perf_counter()
        try:
            _command(directory, "up", "--free-ports")
            yield Running(StateDir(Path(directory)), time.perf_counter() - began)
        finally:
            _command(directory, "down")


def _command(directory: str, *arguments: str) -> None:
    environment = {**os.environ, "TRADEWIND_STATE_DIR": directory}
    # What a person may have set to use servers of their own would make another stack of it.
    for name in ("TRADEWIND_DATABASE_URL", "TRADEWIND_NATS_URL"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "tools.stack", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
