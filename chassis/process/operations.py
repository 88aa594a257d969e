"""The operations port: `/metrics`, and what else a service offers over plain HTTP. On a thread, so that it always answers."""

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import choose_encoder

from chassis.core import errors, logs
from chassis.core.settings import host_and_port

log = logs.logger(__name__)

_metrics = make_wsgi_app()

Route = Callable[[], bytes]
"""Gives a path's body, or raises Unavailable."""


class OperationsServer:
    """Answers `/metrics` and `routes` (path → body as JSON) until it is stopped."""

    def __init__(self, address: str, routes: Mapping[str, Route]) -> None:
        host, port = host_and_port("operations_address", address)
        self._routes = routes
        self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_QuietHandler)
        self.port: int = self._server.server_port

    def start(self) -> None:
        """Begins to answer."""
        # It looks this often for a stop, which waits for it: half a second, by default, of every drain.
        often = {"poll_interval": 0.05}
        threading.Thread(target=self._server.serve_forever, kwargs=often, name="operations", daemon=True).start()

    def stop(self) -> None:
        """Stops answering and frees the port."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            answered: Iterable[bytes] = _metrics(_understood(environ), start_response)
            return answered
        if path not in self._routes:
            return _said(start_response, "404 Not Found", "not found")
        try:
            body = self._routes[path]()
        except errors.Unavailable as problem:
            return _said(start_response, "503 Service Unavailable", str(problem))
        except Exception:  # the outermost place of its thread
            log.exception("route_failed", path=path)
            return _said(start_response, "500 Internal Server Error", "an error of ours")
        start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "max-age=5")])
        return [body]


def _said(start_response: Callable[..., Any], status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain")])
    return [f"{text}\n".encode()]


def _understood(environ: dict[str, Any]) -> dict[str, Any]:
    """The request, without an Accept that prometheus_client 0.26 raises TypeError for: a version that is no number."""
    try:
        choose_encoder(environ.get("HTTP_ACCEPT", ""))
    except TypeError:
        return {**environ, "HTTP_ACCEPT": ""}
    return environ


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each connection, so that a silent one keeps nobody waiting."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: a scraper that vanishes is no error of ours."""


class _QuietHandler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the signature is the standard library's
        """Says nothing."""
