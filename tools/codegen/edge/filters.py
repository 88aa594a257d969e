"""The HTTP filters of the edge, in the order in which a request passes them."""

from typing import Any

from tools.codegen.edge.clusters import IDENTITY_KEYS
from tools.codegen.edge.envoy import extension, header, typed
from tools.codegen.edge.methods import Method
from tools.codegen.edge.placement import Placement
from tools.codegen.edge.settings import Bucket, Cors, RateLimits, Settings

FIELDS = "fields"
CORS = "envoy.filters.http.cors"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"
JWT = "envoy.filters.http.jwt_authn"
HEADERS = "envoy.filters.http.header_mutation"
BUFFER = "envoy.filters.http.buffer"
GRPC_WEB = "envoy.filters.http.grpc_web"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
ROUTER = "envoy.filters.http.router"

TOKEN_REQUIRED = "token-required"  # noqa: S105 — the name of a requirement
TOKEN_OPTIONAL = "token-optional"  # noqa: S105
TOKEN_PAYLOAD = "token"  # noqa: S105 — where the access log finds who it was


# gRPC's servers keep a header they cannot read in the table of its connection, and fail to read every later one of that
# name, whoever sent it. Binary metadata is read by no service; the others are gRPC's own, which no client needs to send.
MISLEADING: list[dict[str, Any]] = [
    {"suffix": "-bin"},
    {"safe_regex": {"regex": "grpc-(status|previous-rpc-attempts|retry-pushback-ms|internal-encoding-request)"}},
]

# What JSON has no word for.
GRPC_HEADERS: list[dict[str, Any]] = [{"prefix": "grpc-"}]


def http_filters(
    methods: list[Method], placement: Placement, settings: Settings, field_check: str
) -> list[dict[str, Any]]:
    """Cheap refusals come before dear ones, and every refusal before the body is read."""
    return [
        extension(CORS, "filters.http.cors.v3.Cors"),
        {"name": RATE_LIMIT, "typed_config": rate_limit(settings.rate_limits, settings.rate_limits.client)},
        _jwt(placement),
        extension(HEADERS, "filters.http.header_mutation.v3.HeaderMutation", mutations=_without(MISLEADING)),
        _buffer(settings),
        _fields(field_check),
        extension(GRPC_WEB, "filters.http.grpc_web.v3.GrpcWeb"),
        _transcoder(methods, placement),
        extension(ROUTER, "filters.http.router.v3.Router", suppress_envoy_headers=True),
    ]


def cors_policy(cors: Cors) -> dict[str, Any]:
    """Which pages may call, and which headers they may send and read."""
    return typed(
        "filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"safe_regex": {"regex": origin}} for origin in cors.origins],
        allow_methods="GET, POST, PUT, PATCH, DELETE",
        allow_headers="authorization, content-type, x-grpc-web, x-user-agent, grpc-timeout",
        expose_headers="grpc-status, grpc-message, grpc-status-details-bin, x-request-id, retry-after",
        max_age=str(cors.max_age_seconds),
        forward_not_matching_preflights=False,
    )


def rate_limit(limits: RateLimits, client: Bucket) -> dict[str, Any]:
    """The rate limit: a token bucket for each remote address, within one for everybody."""
    return typed(
        "filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="edge",
        token_bucket=_token_bucket(limits.everybody),
        # A descriptor without a value stands for every value, each with a bucket of its own.
        descriptors=[{"entries": [{"key": "remote_address"}], "token_bucket": _token_bucket(client)}],
        rate_limits=[{"actions": [{"remote_address": {}}]}],
        max_dynamic_descriptors=limits.remembered_clients,
        filter_enabled=_always(),
        filter_enforced=_always(),
        rate_limited_as_resource_exhausted=True,
        response_headers_to_add=[header("retry-after", "1")],
    )


def requires(requirement: str) -> dict[str, Any]:
    """For a route: which tokens it takes."""
    return typed("filters.http.jwt_authn.v3.PerRouteConfig", requirement_name=requirement)


def buffers_at_most(size: int) -> dict[str, Any]:
    """For a route whose body is read whole: 413 for a larger one."""
    return typed("filters.http.buffer.v3.BufferPerRoute", buffer={"max_request_bytes": size})


def checks_fields(request: str, *, in_path: list[str], reads_body: bool) -> dict[str, Any]:
    """For a route of JSON: which message path, query and body are to become, and which of its fields are in the path."""
    context = {"request": request, "in_path": " ".join(in_path), "reads_body": reads_body}
    return typed("filters.http.lua.v3.LuaPerRoute", filter_context=context)


def removes(names: list[dict[str, Any]]) -> dict[str, Any]:
    """For a route: headers of these names go no further, apart from those that go nowhere."""
    return typed("filters.http.header_mutation.v3.HeaderMutationPerRoute", mutations=_without(names))


def disabled() -> dict[str, Any]:
    """For a route: this filter lets everything pass."""
    return {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}


def _jwt(placement: Placement) -> dict[str, Any]:
    """Signature, issuer, audience and expiry. The token goes on: each service checks it again."""
    provider = {
        "issuer": placement.token_issuer,
        "audiences": [placement.token_audience],
        "remote_jwks": {
            "http_uri": {
                "uri": "http://identity/.well-known/jwks.json",
                "cluster": IDENTITY_KEYS,
                "timeout": "2s",
            },
            "cache_duration": "10s",
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "0.5s"},
        },
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "require_expiration": True,
        "clock_skew_seconds": 5,
        "payload_in_metadata": TOKEN_PAYLOAD,
        # Checking a signature costs as much as all the rest; a token that is known to be good only has its times checked.
        "jwt_cache_config": {"jwt_cache_size": 1000},
    }
    return extension(
        JWT,
        "filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"identity": provider},
        requirement_map={
            TOKEN_REQUIRED: {"provider_name": "identity"},
            # Without a token, or with a good one; a bad one is refused even where none is needed.
            TOKEN_OPTIONAL: {"requires_any": {"requirements": [{"provider_name": "identity"}, {"allow_missing": {}}]}},
        },
    )


def _without(names: list[dict[str, Any]]) -> dict[str, Any]:
    return {"request_mutations": [{"remove_on_match": {"key_matcher": name}} for name in names]}


def _buffer(settings: Settings) -> dict[str, Any]:
    """Off, except for the routes that turn it on: a buffered stream is no stream."""
    return {
        **extension(BUFFER, "filters.http.buffer.v3.Buffer", max_request_bytes=settings.limits.request_bytes),
        "disabled": True,
    }


def _fields(field_check: str) -> dict[str, Any]:
    """See `mesh/edge/fields.lua`. It does nothing on routes that do not ask for it."""
    return extension(FIELDS, "filters.http.lua.v3.Lua", default_source_code={"inline_string": field_check})


def _transcoder(methods: list[Method], placement: Placement) -> dict[str, Any]:
    """JSON to gRPC and back. Names are those of the protos, and what the protos do not know is refused."""
    return extension(
        TRANSCODER,
        "filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(placement.descriptors),
        services=sorted({method.grpc_service for method in methods}),
        # The route was chosen by the path that came in, with its terms; the transcoder does not choose again.
        match_incoming_request_route=True,
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        convert_grpc_status=True,
        print_options={
            "always_print_primitive_fields": True,
            "preserve_proto_field_names": True,
            "stream_sse_style_delimited": True,
        },
    )


def _token_bucket(bucket: Bucket) -> dict[str, Any]:
    return {"max_tokens": bucket.burst, "tokens_per_fill": bucket.per_second, "fill_interval": "1s"}


def _always() -> dict[str, Any]:
    return {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
