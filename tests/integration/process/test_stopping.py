"""How a process ends when it is told to."""

import asyncio
from pathlib import Path

from tests.integration.processes import log_of, process


async def test_a_process_ends_although_a_work_does_not(tmp_path: Path) -> None:
    """It says which one, and by its exit code that not all went well."""
    socket = tmp_path / "grpc.sock"
    async with process("tests.integration.process.stubborn_process", socket, DRAIN_SECONDS="0") as (stubborn, _):
        stubborn.terminate()
        async with asyncio.timeout(20):
            assert await stubborn.wait() == 1
    log = log_of(socket).read_text()
    assert '"background_left"' in log
    assert '"work":"hold_on"' in log
    assert '"stopped"' in log
