"""PlaceOrder to CONFIRMED through the edge, by many customers at once, with everything on: facts, mails, logs, disk syncs.

Beside it, in the same run, what a call costs a bare server: the machine's own share in the figures.
"""

import os
import time
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

from tools.bench import calls
from tools.bench.processes import Meter
from tools.bench.shop import CUSTOMERS, BenchShop
from tools.bench.stack import running

WARM_UP_ORDERS: Final = 200


@dataclass(frozen=True)
class Figures:
    """What an order takes."""

    orders: int
    customers: int
    orders_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    cpu_milliseconds_per_order: dict[str, float]
    """By process, the customers' own among them; mails and all other work that orders entail included."""
    bare_call_cpu_microseconds: float
    """What one call costs a bare server on this machine, measured just before."""


async def measure(count: int) -> Figures:
    """So many orders, after a warm-up, in a stack of their own."""
    bare = await calls.bare_cpu_microseconds()
    with running() as stack:
        async with BenchShop.open(stack.address("edge"), stack.directory) as shop:
            await shop.sell(WARM_UP_ORDERS)
            await shop.mailed(CUSTOMERS + WARM_UP_ORDERS)
            meter = Meter.started({**stack.pids, "customers": os.getpid()})
            began = time.perf_counter()
            seconds = await shop.sell(count)
            lasted = time.perf_counter() - began
            await shop.mailed(CUSTOMERS + WARM_UP_ORDERS + count)
            cpu = meter.read()
    percentiles = quantiles(seconds, n=100)
    return Figures(
        orders=count,
        customers=CUSTOMERS,
        orders_per_second=count / lasted,
        p50_milliseconds=1000 * percentiles[49],
        p99_milliseconds=1000 * percentiles[98],
        cpu_milliseconds_per_order={name: 1000 * used / count for name, used in cpu.items()},
        bare_call_cpu_microseconds=bare,
    )
