"""Brings up one service from its `service.yaml` and its wiring, and takes it down without losing a call.

`serve("services.orders", service)` is all a service's `__main__` needs. What happens to every call is listed in
`interceptors`; the order in which a process starts and drains is `chassis.process.host`.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Mapping

import uvloop

from chassis.contract import manifest as manifests
from chassis.contract.descriptors import ContractError
from chassis.contract.manifest import ManifestError
from chassis.core import failpoints, logs, settings
from chassis.core.settings import RuntimeSettings, SettingsError
from chassis.process.host import Host
from chassis.process.runtime import Runtime, Service, Wiring
from chassis.rpc import peer_identity
from chassis.rpc.idempotency import RequestStore
from chassis.rpc.interceptors import Interceptor
from chassis.rpc.interceptors.access_log import log_call
from chassis.rpc.interceptors.authentication import Authenticate
from chassis.rpc.interceptors.authorization import Authorize
from chassis.rpc.interceptors.correlation import correlate
from chassis.rpc.interceptors.deadlines import bound_deadline
from chassis.rpc.interceptors.idempotency import AnswerOnce
from chassis.rpc.interceptors.metrics import measure
from chassis.rpc.interceptors.problems import report_problems
from chassis.rpc.interceptors.shedding import Shed
from chassis.rpc.interceptors.validation import decode_and_validate
from chassis.rpc.tokens import TokenVerifier
from chassis.rpc.traces import Traces

__all__ = ["Runtime", "Service", "serve"]


def interceptors(
    own: RuntimeSettings,
    traces: Traces,
    tokens: TokenVerifier,
    callers: Mapping[str, frozenset[str]],
    requests: RequestStore | None,
) -> tuple[Interceptor, ...]:
    """What every call passes on its way to the servicer, from the outside in."""
    return (
        correlate,  # one request id in every log line
        traces.serve,
        measure,
        log_call,
        report_problems,  # whatever is raised further in becomes one precise status
        Shed(own.max_concurrent_calls, own.max_concurrent_streams),
        bound_deadline,
        Authenticate(tokens, peer_identity.source(own)),
        Authorize(callers),
        decode_and_validate,  # after authorization: strangers learn nothing of the contract
        *((AnswerOnce(requests),) if requests else ()),
    )


def serve(package: str, wiring: Wiring) -> None:
    """Runs a service until SIGTERM or SIGINT. Exits with 2 and one line on stderr when it cannot start, 1 when work was left."""
    try:
        uvloop.run(_run(package, wiring))
    except (SettingsError, ManifestError, ContractError) as error:
        sys.exit(_said(package, error))


async def _run(package: str, wiring: Wiring) -> None:
    failpoints.arm_from(os.environ)
    declared, own = manifests.of_package(package), settings.load(RuntimeSettings)
    logs.configure(declared.name, own.version, own.log_level)
    host = Host(declared, own, interceptors)
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
