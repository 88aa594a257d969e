"""The whole configuration of Envoy, put together."""

from typing import Any

from tools.codegen.edge.access_log import access_log
from tools.codegen.edge.clusters import clusters, socket_address
from tools.codegen.edge.envoy import extension
from tools.codegen.edge.filters import http_filters
from tools.codegen.edge.methods import Method
from tools.codegen.edge.placement import Placement
from tools.codegen.edge.replies import local_replies
from tools.codegen.edge.routes import route_configuration
from tools.codegen.edge.settings import Settings


def bootstrap(methods: list[Method], placement: Placement, settings: Settings, field_check: str) -> dict[str, Any]:
    """What Envoy is started with; nothing is changed while it runs. `field_check` is the Lua of `mesh/edge/fields.lua`."""
    return {
        "admin": {"address": socket_address(placement.admin)},
        "overload_manager": {
            "resource_monitors": [
                extension(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=settings.limits.connections,
                )
            ]
        },
        "static_resources": {
            "listeners": [_listener(methods, placement, settings, field_check)],
            "clusters": clusters(placement),
        },
    }


def _listener(methods: list[Method], placement: Placement, settings: Settings, field_check: str) -> dict[str, Any]:
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        **_connection_manager(settings),
        access_log=[access_log()],
        local_reply_config=local_replies(),
        http_filters=http_filters(methods, placement, settings, field_check),
        route_config=route_configuration(methods, placement, settings),
    )
    return {
        "name": "edge",
        "address": socket_address(placement.listen),
        "per_connection_buffer_limit_bytes": settings.limits.request_bytes,
        "filter_chains": [{"filters": [manager]}],
    }


def _connection_manager(settings: Settings) -> dict[str, Any]:
    """HTTP/1.1 and HTTP/2 on one port, distrusting whoever calls, as Envoy's guide for edges advises."""
    return {
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "server_name": "tradewind",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        # A caller's own request id would end up in our logs; ours goes back to the caller.
        "preserve_external_request_id": False,
        "always_set_request_id_in_response": True,
        "max_request_headers_kb": settings.limits.header_kibibytes,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "300s",
        "common_http_protocol_options": {
            "idle_timeout": "3600s",
            "max_headers_count": settings.limits.headers,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        # How a stream ended is told behind it; over HTTP/1.1 that takes trailers.
        "http_protocol_options": {"enable_trailers": True},
        "http2_protocol_options": {
            "max_concurrent_streams": settings.limits.streams_per_connection,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
        },
    }
