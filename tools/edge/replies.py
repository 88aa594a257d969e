"""What the edge itself refuses, said the way the services say it: `google.rpc.Status` as JSON."""

from dataclasses import dataclass
from typing import Any

from google.rpc import code_pb2

from tools.edge import content_types


@dataclass(frozen=True)
class Refusal:
    """A status the edge answers with, and what it means to a caller."""

    http_status: int
    code: int
    reason: str
    told_as: int | None = None
    """The HTTP status callers get instead."""


REFUSALS = (
    Refusal(400, code_pb2.INVALID_ARGUMENT, "REQUEST_MALFORMED"),
    Refusal(401, code_pb2.UNAUTHENTICATED, "TOKEN_REFUSED"),
    # Envoy's word for a token that was issued for somebody else; to us it is no token at all.
    Refusal(403, code_pb2.UNAUTHENTICATED, "TOKEN_REFUSED", told_as=401),
    Refusal(404, code_pb2.NOT_FOUND, "METHOD_NOT_FOUND"),
    Refusal(408, code_pb2.DEADLINE_EXCEEDED, "REQUEST_TOO_SLOW"),
    Refusal(413, code_pb2.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"),
    Refusal(415, code_pb2.INVALID_ARGUMENT, "CONTENT_TYPE_UNKNOWN"),
    Refusal(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    Refusal(500, code_pb2.INTERNAL, "EDGE_FAILED"),
    Refusal(502, code_pb2.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    Refusal(503, code_pb2.UNAVAILABLE, "SERVICE_UNAVAILABLE"),
    Refusal(504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
)


def local_replies() -> dict[str, Any]:
    """Two mappers for each refusal, the first that fits is used: a body for callers who speak JSON, none for the others.

    Those of gRPC get a status in trailers, which Envoy makes from the HTTP status and the text.
    """
    return {"mappers": [mapper for refusal in REFUSALS for mapper in (_json(refusal), _plain(refusal))]}


def _json(refusal: Refusal) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": refusal.reason,
        "domain": "tradewind.dev",
        "metadata": {"edge": "%RESPONSE_CODE_DETAILS%"},
    }
    return {
        **_plain(refusal),
        "filter": {"and_filter": {"filters": [_answers(refusal.http_status), _speaks_json()]}},
        "body_format_override": {
            "json_format": {"code": refusal.code, "message": "%LOCAL_REPLY_BODY%", "details": [info]}
        },
    }


def _plain(refusal: Refusal) -> dict[str, Any]:
    return {"filter": _answers(refusal.http_status), "status_code": refusal.told_as or refusal.http_status}


def _answers(status: int) -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": "edge.unused"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _speaks_json() -> dict[str, Any]:
    """Whether the caller does: once the transcoder has seen a request, its content type is that of gRPC."""
    other = {"header_filter": {"header": content_types.OTHER}}
    transcoded = {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}}
    return {"or_filter": {"filters": [other, transcoded]}}
