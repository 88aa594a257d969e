"""Asking a process on this machine whether it does its work."""

import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tools.stack.addresses import HOST

TIMEOUT_SECONDS = 1.0


def answers_ok(port: int, path: str) -> bool:
    """Whether an HTTP server answers 200. No proxy is asked, whatever the environment says."""
    connection = HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
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
            request = health_pb2.HealthCheckRequest()
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
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
