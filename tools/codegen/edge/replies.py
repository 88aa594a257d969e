"""What the edge itself refuses, said the way the services say it: a gRPC status, as JSON for callers who speak that."""

from dataclasses import dataclass
from typing import Any

from google.rpc import code_pb2

from tools.codegen.edge import content_types
from tools.codegen.edge.envoy import extension, header


@dataclass(frozen=True)
class Case:
    """What only Envoy's details of a response tell: it refuses this without a word."""

    details: str
    message: str


@dataclass(frozen=True)
class LocalReply:
    """A status the edge answers with, and what it means to a caller."""

    http_status: int
    code: int
    reason: str
    told_as: int | None = None
    """The HTTP status callers get instead."""
    grpc_code: int | None = None
    """The code callers of gRPC get instead."""
    case: Case | None = None
    """Which of the refusals with that HTTP status it is, where it is not all of them."""


LOCAL_REPLIES = (
    LocalReply(
        400,
        code_pb2.INVALID_ARGUMENT,
        "REQUEST_MALFORMED",
        case=Case("path_normalization_failed", "the path holds an escaped slash or a NUL, or cannot be read"),
    ),
    LocalReply(
        400,
        code_pb2.INVALID_ARGUMENT,
        "REQUEST_MALFORMED",
        case=Case("missing_host_header", "there is no host header"),
    ),
    LocalReply(400, code_pb2.INVALID_ARGUMENT, "REQUEST_MALFORMED"),
    LocalReply(401, code_pb2.UNAUTHENTICATED, "TOKEN_REFUSED"),
    LocalReply(
        403,
        code_pb2.INVALID_ARGUMENT,
        "UPGRADE_REFUSED",
        told_as=400,
        case=Case("upgrade_failed", "there is no protocol to upgrade to"),
    ),
    # Envoy's word for a token that was issued for somebody else; to us it is no token at all.
    LocalReply(403, code_pb2.UNAUTHENTICATED, "TOKEN_REFUSED", told_as=401),
    LocalReply(
        404,
        code_pb2.NOT_FOUND,
        "METHOD_NOT_FOUND",
        case=Case("absolute_path_rejected", "the path does not begin with a slash"),
    ),
    LocalReply(404, code_pb2.NOT_FOUND, "METHOD_NOT_FOUND", grpc_code=code_pb2.UNIMPLEMENTED),
    LocalReply(408, code_pb2.DEADLINE_EXCEEDED, "REQUEST_TOO_SLOW"),
    LocalReply(413, code_pb2.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"),
    LocalReply(415, code_pb2.INVALID_ARGUMENT, "CONTENT_TYPE_UNKNOWN"),
    LocalReply(426, code_pb2.INVALID_ARGUMENT, "HTTP_VERSION_UNKNOWN"),
    LocalReply(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    LocalReply(431, code_pb2.RESOURCE_EXHAUSTED, "HEADERS_TOO_LARGE"),
    LocalReply(500, code_pb2.INTERNAL, "EDGE_FAILED"),
    LocalReply(501, code_pb2.INVALID_ARGUMENT, "ENCODING_UNKNOWN"),
    LocalReply(502, code_pb2.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    LocalReply(503, code_pb2.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    LocalReply(504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
)


def local_replies() -> dict[str, Any]:
    """Mappers for each reply, the first that fits is used: callers speak JSON, gRPC-Web, or else gRPC."""
    return {"mappers": [mapper(reply) for reply in LOCAL_REPLIES for mapper in (_json, _grpc_web, _grpc)]}


def _json(reply: LocalReply) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reply.reason,
        "domain": "tradewind.dev",
        "metadata": {"edge": "%RESPONSE_CODE_DETAILS%"},
    }
    return {
        **_mapper(reply, _speaks_json()),
        "status_code": reply.told_as or reply.http_status,
        "body_format_override": {
            "json_format": {"code": reply.code, "message": "%LOCAL_REPLY_BODY%", "details": [info]}
        },
    }


def _grpc_web(reply: LocalReply) -> dict[str, Any]:
    """Of an answer with a body Envoy's filter would make a status of its own, so the message goes into a header."""
    return {
        **_mapper(reply, _speaks_grpc_web()),
        "status_code": 200,
        "headers_to_add": [_grpc_status(reply), header("grpc-message", "%RESPONSE_CODE_DETAILS%")],
        "body_format_override": {"text_format_source": {"inline_string": ""}},
    }


def _grpc(reply: LocalReply) -> dict[str, Any]:
    """Envoy makes the message from the text. It would make a code too: 504 would be UNAVAILABLE, and invite a retry."""
    return {**_mapper(reply), "headers_to_add": [_grpc_status(reply)]}


def _mapper(reply: LocalReply, *callers: dict[str, Any]) -> dict[str, Any]:
    """What is refused, to whom, and in which words if Envoy has none."""
    if reply.case is None:
        return {"filter": _all(_answers(reply.http_status), *callers)}
    return {
        "filter": _all(_answers(reply.http_status), _says(reply.case.details), *callers),
        "body": {"inline_string": reply.case.message},
    }


def _grpc_status(reply: LocalReply) -> dict[str, Any]:
    return header("grpc-status", str(reply.code if reply.grpc_code is None else reply.grpc_code))


def _all(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": list(filters)}} if len(filters) > 1 else filters[0]


def _says(details: str) -> dict[str, Any]:
    return {
        "extension_filter": extension(
            "envoy.access_loggers.extension_filters.cel",
            "access_loggers.filters.cel.v3.ExpressionFilter",
            expression=f"response.code_details == '{details}'",
        )
    }


def _answers(status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": "edge.unused"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _speaks_json() -> dict[str, Any]:
    """Whether the caller does: once the transcoder has seen a request, its content type is that of gRPC."""
    other = {"header_filter": {"header": content_types.OTHER}}
    transcoded = {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}}
    return {"or_filter": {"filters": [other, transcoded]}}


def _speaks_grpc_web() -> dict[str, Any]:
    """Whether the caller does: by then the content type may be that of gRPC here, too."""
    return {"header_filter": {"header": {"name": "x-grpc-web", "present_match": True}}}
