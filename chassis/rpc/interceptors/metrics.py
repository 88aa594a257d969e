"""Metrics: how many calls, how they ended, how long they took (names by grpc-prometheus's convention)."""

import time
from functools import cache

import grpc
from prometheus_client import Counter, Histogram

from chassis.contract.descriptors import Method
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
STARTED = Counter("grpc_server_started_total", "RPCs that began.", _LABELS)
HANDLED = Counter("grpc_server_handled_total", "RPCs that ended, by code.", (*_LABELS, "grpc_code"))
SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "How long RPCs took.",
    _LABELS,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


async def measure(call: Call, proceed: Proceed) -> None:
    """Counts the call when it begins and when it ends. A sampled trace's id goes along as an exemplar."""
    _started(call.method).inc()
    began = time.perf_counter()
    try:
        await proceed(call)
    finally:
        _handled(call.method, call.code).inc()
        _seconds(call.method).observe(time.perf_counter() - began, _exemplar(call.traceparent))


def _exemplar(traceparent: str) -> dict[str, str] | None:
    return {"trace_id": traceparent.split("-")[1]} if traceparent.endswith("-01") else None


def _labels(method: Method) -> tuple[str, str, str]:
    return method.type, method.service, method.short_name


# Finding a labelled child costs more than counting with it.
@cache
def _started(method: Method) -> Counter:
    return STARTED.labels(*_labels(method))


@cache
def _handled(method: Method, code: grpc.StatusCode) -> Counter:
    return HANDLED.labels(*_labels(method), code.name)


@cache
def _seconds(method: Method) -> Histogram:
    return SECONDS.labels(*_labels(method))
