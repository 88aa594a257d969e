"""Which request goes where: two routes for each method, native gRPC and plain HTTP, on the method's own terms."""

import re
from typing import Any

from chassis.contract.descriptors import Caller
from tools.codegen.edge import content_types, filters
from tools.codegen.edge.clusters import IDENTITY_KEYS, NOBODY
from tools.codegen.edge.envoy import duration, extension, header
from tools.codegen.edge.methods import Binding, Method
from tools.codegen.edge.placement import Placement
from tools.codegen.edge.settings import Settings

# The service ends a call at the method's timeout and says so precisely; the edge only when nothing came of that.
TIMEOUT_MARGIN_SECONDS = 0.5

# Everything outside is a stranger, whatever its headers say about the workload that sent them. Nor does it choose which
# requests are traced: a trace begins behind the edge, as often as the services' settings say.
FORGEABLE_HEADERS = ["x-tradewind-peer", "x-forwarded-client-cert", "traceparent", "tracestate", "baggage"]

# What is no method must not be looked for among them.
NOT_TRANSCODED = {filters.TRANSCODER: filters.disabled()}

# What gRPC's servers can read in its own headers.
READABLE = {"grpc-timeout": "[0-9]{1,8}[HMSmun]", "grpc-encoding": "identity|deflate|gzip"}

VARIABLE = re.compile(r"\\\{[^}]*\\\}")


def route_configuration(methods: list[Method], placement: Placement, settings: Settings) -> dict[str, Any]:
    """Every route there is. What none of them matches is answered with 404, UNIMPLEMENTED over gRPC."""
    return {
        "name": "edge",
        "max_direct_response_body_size_bytes": 4 * 1024 * 1024,
        "request_headers_to_remove": FORGEABLE_HEADERS,
        "request_headers_to_add": [header("x-tradewind-peer", "edge")],
        "virtual_hosts": [
            {
                "name": "tradewind",
                "domains": ["*"],
                "retry_policy": _retry_policy(),
                "typed_per_filter_config": {filters.CORS: filters.cors_policy(settings.cors)},
                "routes": [
                    _preflight(),
                    *_own_routes(placement),
                    *(_unreadable(name, pattern) for name, pattern in READABLE.items()),
                    *(_grpc_route(method, settings) for method in methods),
                    *(_http_route(method, each, settings) for method in methods for each in method.bindings),
                    _nothing_here(),
                ],
            }
        ],
    }


def _own_routes(placement: Placement) -> list[dict[str, Any]]:
    """What the edge answers itself, and the keys by which anybody can check a token."""
    return [
        {
            "name": "healthz",
            "match": _read("/healthz"),
            "direct_response": {"status": 200, "body": {"inline_string": '{"status":"SERVING"}\n'}},
            "response_headers_to_add": [header("content-type", "application/json")],
            "typed_per_filter_config": NOT_TRANSCODED,
        },
        {
            "name": "openapi",
            "match": _read("/openapi.json"),
            "direct_response": {"status": 200, "body": {"filename": str(placement.openapi)}},
            "response_headers_to_add": [header("content-type", "application/json")],
            "typed_per_filter_config": NOT_TRANSCODED,
        },
        {
            "name": "jwks",
            "match": {"path": "/.well-known/jwks.json", "headers": [_verb("GET")]},
            "route": {"cluster": IDENTITY_KEYS, "timeout": "2s"},
            "typed_per_filter_config": NOT_TRANSCODED,
        },
    ]


def _preflight() -> dict[str, Any]:
    """A browser asking whether a page may call: the CORS filter answers, but only where there is a route with a cluster.

    It answers nothing that lacks one of the two headers or holds an empty one, so neither does the route match that; and
    were they ever to differ, there is nobody in the cluster.
    """
    asked = [_given(name) for name in ("origin", "access-control-request-method")]
    return {
        "name": "preflight",
        "match": {"prefix": "/", "headers": [_verb("OPTIONS"), *asked]},
        "route": {"cluster": NOBODY},
        "typed_per_filter_config": NOT_TRANSCODED,
    }


def _grpc_route(method: Method, settings: Settings) -> dict[str, Any]:
    """GRPC and gRPC-Web, by the method's name.

    Services reset a call that is not posted, or does not say that it takes trailers. To the edge that would look like a
    failure of theirs, to be tried again and again: so it says the one for everybody, and takes the other for no call.
    """
    return {
        "name": method.name,
        "match": {"path": f"/{method.name}", "headers": [_verb("POST"), content_types.GRPC]},
        "route": _action(method),
        "request_headers_to_add": [header("te", "trailers")],
        "typed_per_filter_config": _terms(method, settings),
    }


def _unreadable(name: str, pattern: str) -> dict[str, Any]:
    """A header of gRPC's that services cannot read: see `filters.MISLEADING` for what would come of it."""
    value = {"name": name, "string_match": {"safe_regex": {"regex": pattern}}, "invert_match": True}
    return {
        "name": f"unreadable {name}",
        "match": {"prefix": "/", "headers": [content_types.GRPC, value]},
        "direct_response": {"status": 400, "body": {"inline_string": f"{name} is none that gRPC knows"}},
        "typed_per_filter_config": NOT_TRANSCODED,
    }


def _http_route(method: Method, binding: Binding, settings: Settings) -> dict[str, Any]:
    """JSON, by the verb and the path of the method's `google.api.http`.

    The transcoder lets gRPC pass as it is, to a path that no service knows: it has no business here.
    """
    reads_body = bool(binding.body) and not method.client_streaming
    terms = {
        **_terms(method, settings),
        filters.HEADERS: filters.removes(filters.GRPC_HEADERS),
        filters.FIELDS: filters.checks_fields(method.request, in_path=binding.variables, reads_body=reads_body),
    }
    if reads_body:
        terms[filters.BUFFER] = filters.buffers_at_most(settings.limits.request_bytes)
    return {
        "name": f"{method.name} {binding.verb}",
        "match": _match(binding),
        "route": _action(method),
        "typed_per_filter_config": terms,
    }


def _action(method: Method) -> dict[str, Any]:
    timeout = duration(method.timeout_seconds + TIMEOUT_MARGIN_SECONDS)
    return {"cluster": method.service, "timeout": timeout, "idle_timeout": timeout}


def _retry_policy() -> dict[str, Any]:
    """One layer owns the retries of each hop, and this hop is the edge's.

    Every method may be repeated: the contract allows no level but NO_SIDE_EFFECTS and IDEMPOTENT, and a repeat with the
    same request_id gets the first answer. A server that stops says CANCELLED to what it has received and not begun.
    """
    return {
        "retry_on": "reset,connect-failure,refused-stream,unavailable,cancelled",
        "num_retries": 2,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        "retry_host_predicate": [
            extension(
                "envoy.retry_host_predicates.previous_hosts", "retry.host.previous_hosts.v3.PreviousHostsPredicate"
            )
        ],
        "host_selection_retry_max_attempts": 5,
    }


def _terms(method: Method, settings: Settings) -> dict[str, Any]:
    """What a caller must bring, and how often they may come.

    Whether a token is that of staff is the service's question: it answers PERMISSION_DENIED with a reason.
    """
    requirement = filters.TOKEN_OPTIONAL if method.caller is Caller.ANYONE else filters.TOKEN_REQUIRED
    terms = {filters.JWT: filters.requires(requirement)}
    if method.is_guessable:
        terms[filters.RATE_LIMIT] = filters.rate_limit(settings.rate_limits, settings.rate_limits.credentials)
    return terms


def _match(binding: Binding) -> dict[str, Any]:
    """A path without variables is compared; one with variables is a pattern in which each is one segment."""
    headers = [_verb(binding.verb), content_types.OTHER]
    if "{" not in binding.template:
        return {"path": binding.template, "headers": headers}
    pattern = VARIABLE.sub("[^/:]+", re.escape(binding.template))
    return {"safe_regex": {"regex": pattern.replace(r"\-", "-")}, "headers": headers}


def _read(path: str) -> dict[str, Any]:
    """Whole, or only its head."""
    return {"path": path, "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}]}


def _verb(verb: str) -> dict[str, Any]:
    return {"name": ":method", "string_match": {"exact": verb}}


def _given(name: str) -> dict[str, Any]:
    return {"name": name, "string_match": {"safe_regex": {"regex": ".+"}}}


def _nothing_here() -> dict[str, Any]:
    return {
        "name": "nothing here",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": "no such method and path; see /openapi.json"}},
        "typed_per_filter_config": NOT_TRANSCODED,
    }
