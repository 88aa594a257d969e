"""Services in processes of their own, to be killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

KILLED = -signal.SIGKILL

NO_KEYS = "http://127.0.0.1:9/"
"""Where nobody publishes keys: for processes that are sent no token."""


@asynccontextmanager
async def process(package: str, socket: Path, **settings: str) -> AsyncIterator[tuple[Process, grpc.aio.Channel]]:
    """A service in a process of its own, for the block, and a channel to it."""
    own = {
        "GRPC_ADDRESS": f"unix:{socket}",
        "OPERATIONS_ADDRESS": "127.0.0.1:0",
        "JWKS_URL": NO_KEYS,
        "LOG_LEVEL": "debug",
        **settings,
    }
    with log_of(socket).open("wb") as log:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", package),
            env={**os.environ, **{f"TRADEWIND_{name}": value for name, value in own.items()}},
            stdout=log,
            stderr=log,
        )
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel, asyncio.timeout(60):
            await channel.channel_ready()
            yield started, channel
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def log_of(socket: Path) -> Path:
    """Where the process that listens on a socket writes its log."""
    return socket.with_suffix(".log")


def secrets(directory: Path, database_url: str) -> str:
    """What a service is told in files."""
    directory.mkdir()
    for name, content in {"database_url": database_url, "reply_key": "00" * 32, "page_key": "11" * 32}.items():
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(content)
    return str(directory)
