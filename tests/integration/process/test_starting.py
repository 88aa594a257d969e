"""How a process starts, or says in one line why it does not."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.integration.processes import NO_KEYS
from tests.integration.rpc.stub import InventoryServiceStub, availability, serving
from tools.stack.addresses import free_port
from tools.stack.postgres import Postgres


@pytest.fixture
def secrets(tmp_path: Path, new_database: Callable[[str], str]) -> Path:
    """The secrets catalog needs."""
    contents = {"database_url": new_database("catalog"), "reply_key": "00" * 32, "page_key": "11" * 32}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def _start(secrets: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs catalog until it ends, which it does at once when it cannot start."""
    environment = {
        "PATH": os.environ["PATH"],
        "TRADEWIND_SECRETS_DIR": str(secrets),
        "TRADEWIND_GRPC_ADDRESS": f"127.0.0.1:{free_port()}",
        "TRADEWIND_OPERATIONS_ADDRESS": f"127.0.0.1:{free_port()}",
        "TRADEWIND_JWKS_URL": NO_KEYS,
        **variables,
    }
    command = [sys.executable, "-m", "services.catalog"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("variables", "missing", "complaint"),
    [
        ({}, "database_url", "secret database_url is missing"),
        ({}, "reply_key", "secret reply_key is missing"),
        ({}, "page_key", "secret page_key is missing"),
        ({"TRADEWIND_DRAIN_SECONDS": "soon"}, "", "TRADEWIND_DRAIN_SECONDS: 'soon' is not a valid float"),
        (
            {"TRADEWIND_ENVIRONMENT": "production"},
            "",
            "TRADEWIND_PEER_IDENTITY=asserted believes whatever a caller says",
        ),
        ({"TRADEWIND_PEER_IDENTITY": "mtls", "TRADEWIND_TLS_DIR": "/nowhere"}, "", "/nowhere/tls.key cannot be read"),
        ({"TRADEWIND_GRPC_ADDRESS": "127.0.0.1:99999"}, "", "TRADEWIND_GRPC_ADDRESS: '127.0.0.1:99999' is not"),
        ({"TRADEWIND_OPERATIONS_ADDRESS": "127.0.0.1:abc"}, "", "TRADEWIND_OPERATIONS_ADDRESS: '127.0.0.1:abc' is not"),
        ({"TRADEWIND_JWKS_URL": ""}, "", "TRADEWIND_JWKS_URL: '' is no http(s) URL"),
        ({"TRADEWIND_JWKS_URL": "identity:9001"}, "", "TRADEWIND_JWKS_URL: 'identity:9001' is no http(s) URL"),
        ({"TRADEWIND_FAILPOINTS": "here=explode"}, "", "TRADEWIND_FAILPOINTS: 'here=explode' is not"),
        ({"TRADEWIND_FAILPOINTS": "here"}, "", "TRADEWIND_FAILPOINTS: 'here' is not"),
    ],
    ids=[
        "no database",
        "no reply key",
        "no page key",
        "no number",
        "asserted in production",
        "no certificate",
        "port out of range",
        "port of letters",
        "no way to get keys",
        "keys from no web server",
        "unknown action",
        "no action",
    ],
)
def test_what_is_missing_or_wrong_stops_the_start_with_one_line(
    secrets: Path, variables: dict[str, str], missing: str, complaint: str
) -> None:
    """On stderr, with exit code 2, and without a traceback."""
    if missing:
        (secrets / missing).unlink()
    ended = _start(secrets, **variables)
    assert ended.returncode == 2, ended.stderr
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("page_key", b"\xff", "page_key is not UTF-8 text"),
        ("page_key", b"11", "secret page_key is not 32 bytes in hex"),
        ("database_url", b"postgresql://catalog:hunter 2@localhost/catalog", "secret database_url is no address"),
        ("database_url", b"postgresql://catalog:hunter%2@localhost/catalog", "secret database_url is no address"),
        ("database_url", b"postgresql//catalog:hunter2@localhost/catalog", "secret database_url is no address"),
    ],
    ids=["no text", "no key", "a space in a password", "a per cent sign in a password", "no scheme"],
)
def test_a_secret_that_is_none_stops_the_start_with_one_line(
    secrets: Path, name: str, content: bytes, complaint: str
) -> None:
    """As everything else that is wrong; and shows nothing of itself."""
    (secrets / name).write_bytes(content)
    ended = _start(secrets)
    assert ended.returncode == 2, ended.stderr
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "hunter" not in ended.stdout + ended.stderr


def test_a_port_in_use_is_named(secrets: Path) -> None:
    """Two processes never share a port in silence."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for name in ("GRPC", "OPERATIONS"):
            ended = _start(secrets, **{f"TRADEWIND_{name}_ADDRESS": address})
            assert ended.returncode == 2, ended.stderr
            assert f"TRADEWIND_{name}_ADDRESS: {address} cannot be bound" in ended.stderr


async def test_reflection_is_there_in_development_alone(new_database: Callable[[str], str]) -> None:
    """In production nobody is told what can be called."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with serving(new_database("inventory")) as service:
        stream = reflection_pb2_grpc.ServerReflectionStub(service.channel()).ServerReflectionInfo([request])
        answer = await stream.read()
        names = {each.name for each in answer.list_services_response.service}
        assert {"tradewind.inventory.v1.InventoryService", "grpc.health.v1.Health"} <= names
    async with serving(new_database("inventory"), environment="production", peer_identity="xfcc") as service:
        # Nothing is asked: the refusal may come before the question is sent, which then fails instead.
        stream = reflection_pb2_grpc.ServerReflectionStub(service.channel()).ServerReflectionInfo(timeout=10)
        assert await stream.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_process_whose_database_is_away_starts_and_serves_when_it_comes(server_directory: Path) -> None:
    """It says NOT_SERVING until then; nobody has to restart it."""
    server = Postgres(server_directory, free_port(), durable=False)
    await asyncio.to_thread(server.start)
    url = server.create("inventory")
    await asyncio.to_thread(server.stop)
    async with serving(url) as service:
        states = health_pb2_grpc.HealthStub(service.channel()).Watch(health_pb2.HealthCheckRequest())
        assert await _becomes(states, health_pb2.HealthCheckResponse.NOT_SERVING)
        await InventoryServiceStub(service.channel()).GetAvailability(availability())
        await asyncio.to_thread(server.start)
        assert await _becomes(states, health_pb2.HealthCheckResponse.SERVING)
        await asyncio.to_thread(server.stop)
        assert await _becomes(states, health_pb2.HealthCheckResponse.NOT_SERVING)
        states.cancel()


async def _becomes(states: Any, wanted: int) -> bool:
    """Waits until health says so."""
    async for state in states:
        if state.status == wanted:
            return True
    return False
