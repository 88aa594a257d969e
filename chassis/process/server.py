"""Brings up one service from its `service.yaml` and its wiring, and takes it down without losing a call.

`serve("services.orders", service)` is all a service's `__main__` needs. What happens to every call is listed in
`chassis.rpc.interceptors`; the order in which a process starts and drains is `chassis.process.host`.
"""

import asyncio
import gc
import os
import signal
import sys

import uvloop

from chassis.contract.descriptors import ContractError
from chassis.contract.manifest import ManifestError, of_package
from chassis.core import failpoints, logs
from chassis.core.settings import RuntimeSettings, SettingsError, load
from chassis.process.host import Host
from chassis.process.runtime import Runtime, Service, Wiring

__all__ = ["Runtime", "Service", "serve"]


def serve(package: str, wiring: Wiring) -> None:
    """Runs a service until SIGTERM or SIGINT. Exits with 2 and one line on stderr when it cannot start, 1 when work was left."""
    try:
        uvloop.run(_run(package, wiring))
    except (SettingsError, ManifestError, ContractError) as error:
        sys.exit(_said(package, error))


async def _run(package: str, wiring: Wiring) -> None:
    failpoints.arm_from(os.environ)
    manifest, settings = of_package(package), load(RuntimeSettings)
    logs.configure(manifest.name, settings.version, settings.log_level)
    host = Host(manifest, settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await host.start(wiring)
    freeze_garbage()
    try:
        await stop.wait()
    finally:
        await host.stop()
    if host.is_held_up:
        # The event loop would wait for it, for ever.
        os._exit(1)


def freeze_garbage() -> None:
    """Tells the collector that what was made at start lives as long as the process: not to be looked at again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


def _said(package: str, error: Exception) -> int:
    sys.stderr.write(f"{package} cannot start: {error}\n")
    return 2
