"""Ending what a stack left behind when its supervisor was killed."""

import signal

import psutil

from tools.stack.state import ProcessRecord

PATIENCE_SECONDS = 10.0


def end(records: list[ProcessRecord]) -> None:
    """End the recorded processes that still run, and only those: a later process with the same id is spared."""
    running = [process for process in map(find, reversed(records)) if process is not None]
    for process in running:
        # To PostgreSQL SIGTERM means to wait until every client has gone; SIGINT does not.
        process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    for process in psutil.wait_procs(running, timeout=PATIENCE_SECONDS)[1]:
        process.kill()


def find(record: ProcessRecord) -> psutil.Process | None:
    """The process a record speaks of, if it is still that one."""
    if record.pid is None:
        return None
    try:
        process = psutil.Process(record.pid)
        return process if process.create_time() == record.started else None
    except psutil.NoSuchProcess:
        return None
