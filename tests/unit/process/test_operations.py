"""The operations port: what it answers, and what it says of its own mistakes."""

import gzip
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from structlog.testing import capture_logs

from chassis.process.operations import OperationsServer


def _fail() -> bytes:
    raise ZeroDivisionError("inner text")


@pytest.fixture
def port() -> Iterator[int]:
    """Where one listens that has a route with a bug in it."""
    server = OperationsServer("127.0.0.1:0", {"/keys": lambda: b"{}", "/bug": _fail})
    server.start()
    yield server.port
    server.stop()


def _get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_metrics_come_in_whatever_form_is_asked_for(port: int) -> None:
    """Also where none is that can be understood."""
    for accept in (
        "",
        "text/plain",
        "application/openmetrics-text;version=1.0.0",
        "application/openmetrics-text;version=x",
    ):
        status, content = _get(port, "/metrics", Accept=accept)
        assert status == 200
        assert b"process_cpu_seconds" in content


def test_metrics_are_compressed_and_chosen_where_that_is_asked_for(port: int) -> None:
    """As Prometheus asks for them."""
    status, content = _get(port, "/metrics", **{"Accept-Encoding": "gzip"})
    assert status == 200
    assert b"process_cpu_seconds" in gzip.decompress(content)
    status, content = _get(port, "/metrics?name[]=process_open_fds")
    assert [line.split()[0] for line in content.splitlines() if not line.startswith(b"#")] == [b"process_open_fds"]


def test_a_bug_in_a_route_is_a_line_of_the_log(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    """In JSON as everything else, and not a traceback on stderr; whoever asked is told nothing of it."""
    with capture_logs() as logged:
        status, content = _get(port, "/bug")
    assert (status, content) == (500, b"an error of ours\n")
    assert [(line["event"], line["path"]) for line in logged] == [("route_failed", "/bug")]
    assert capfd.readouterr().err == ""
    assert _get(port, "/keys") == (200, b"{}")
