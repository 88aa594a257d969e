"""Where requests go: one cluster for each service, identity's keys, and one for what the edge answers itself."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from tools.codegen.edge.envoy import typed
from tools.codegen.edge.placement import Placement, split

IDENTITY_KEYS = "identity-operations"
NOBODY = "nobody"


def clusters(placement: Placement) -> list[dict[str, Any]]:
    """Every cluster, by name."""
    services = [_service(name, addresses) for name, addresses in sorted(placement.upstreams.items())]
    return [*services, _cluster(IDENTITY_KEYS, placement.identity_operations), _cluster(NOBODY, ())]


def _service(name: str, addresses: Iterable[str]) -> dict[str, Any]:
    """A service over HTTP/2. Processes that say NOT_SERVING, or nothing, get nothing until they say SERVING.

    Only the health checks decide that. Envoy could also put out a process whose calls fail (outlier detection), but it
    takes a timeout or a reset for the process's fault, whoever brought it about, and a caller can bring about either.
    When most of them are out, all are asked again (Envoy's panic threshold): their own errors say more than ours.
    """
    return {
        **_cluster(name, addresses),
        # Not the one with the fewest requests: that is the one that has just died.
        "lb_policy": "ROUND_ROBIN",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
                "upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={
                    "http2_protocol_options": {
                        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                    }
                },
            )
        },
        "health_checks": [_health_check()],
        "circuit_breakers": _circuit_breakers(),
    }


def _cluster(name: str, addresses: Iterable[str]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": socket_address(address)}} for address in addresses]
    return {
        "name": name,
        "type": "STATIC" if all(map(_is_ip, addresses)) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _health_check() -> dict[str, Any]:
    return {
        "timeout": "2s",
        # Half of the time for which a process serves on after it has said that it will stop.
        "interval": "0.5s",
        "no_traffic_interval": "0.5s",
        # Soon again after a failure: a service that starts, or comes back, is used within a blink.
        "unhealthy_interval": "0.25s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }


def _circuit_breakers() -> dict[str, Any]:
    return {
        "thresholds": [
            {
                "max_connections": 128,
                "max_pending_requests": 512,
                "max_requests": 1024,
                "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 10},
            }
        ]
    }


def socket_address(address: str) -> dict[str, Any]:
    """HOST:PORT in Envoy's notation."""
    host, port = split(address)
    return {"socket_address": {"address": host, "port_value": port}}


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(split(address)[0])
    except ValueError:
        return False
    return True
