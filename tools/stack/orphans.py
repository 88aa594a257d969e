"""Ending what a stack left behind when its supervisor was killed."""

import signal
import time
from collections.abc import Iterable

import psutil

from tools.stack.errors import StackError
from tools.stack.state import ProcessRecord

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.05


def end(records: list[ProcessRecord]) -> None:
    """End the recorded processes that still run, and only those: a later process with the same id is spared."""
    for process in _running(records):
        # To PostgreSQL SIGTERM means to wait until every client has gone; SIGINT does not.
        process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    try:
        wait(records, PATIENCE_SECONDS)
    except StackError:
        for process in _running(records):
            process.kill()
        wait(records, PATIENCE_SECONDS)


def wait(records: list[ProcessRecord], timeout_seconds: float) -> None:
    """Return when none of the recorded processes runs any more."""
    deadline = time.monotonic() + timeout_seconds
    while running := _running(records):
        if time.monotonic() > deadline:
            raise StackError(f"still running: {', '.join(f'{each.name()} (pid {each.pid})' for each in running)}")
        time.sleep(POLL_SECONDS)


def find(record: ProcessRecord) -> psutil.Process | None:
    """The process a record speaks of, if it still runs and is still that one."""
    if record.pid is None:
        return None
    try:
        process = psutil.Process(record.pid)
        # One that has ended stays in the table until somebody asks how; in a container that may be never.
        is_there = process.create_time() == record.started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if is_there else None


def _running(records: Iterable[ProcessRecord]) -> list[psutil.Process]:
    return [process for process in map(find, records) if process is not None]
