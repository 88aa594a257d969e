"""Asking a process on this machine whether it does its work."""

import json
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from tools.stack.addresses import HOST

TIMEOUT_SECONDS = 1.0


def answers_ok(port: int, path: str) -> bool:
    """Whether an HTTP server answers 200."""
    return _get(port, path) is not None


def get_json(port: int, path: str) -> dict[str, Any]:
    """What an HTTP server answers; nothing when it does not answer 200."""
    return json.loads(_get(port, path) or b"{}")  # type: ignore[no-any-return]


def _get(port: int, path: str) -> bytes | None:
    # No proxy is asked, whatever the environment says.
    connection = HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == HTTPStatus.OK else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def is_serving(port: int) -> bool:
    """Whether a gRPC server says SERVING."""
    if not is_listening(port):
        return False
    # A channel that shared its connection with an earlier one would also share its pause after a refusal.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"{HOST}:{port}", options) as channel:
        try:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            answer = check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def is_listening(port: int) -> bool:
    """Whether a connection is accepted."""
    try:
        socket.create_connection((HOST, port), timeout=TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True
