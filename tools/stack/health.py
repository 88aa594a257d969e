"""Asking a process on this machine whether it does its work."""

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 1.0


def answers_ok(port: int, path: str) -> bool:
    """Whether an HTTP server on the loopback answers 200. No proxy is asked, whatever the environment says."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
