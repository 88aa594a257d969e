"""How a stack looks in the terminal."""

import psutil
from rich.table import Table

from tools.stack import orphans
from tools.stack.state import ProcessRecord, Record

COLOURS = {"ready": "green", "starting": "yellow", "restarting": "red", "stopped": "dim", "gone": "red"}
MEBIBYTE = 1024 * 1024


def addresses(record: Record) -> Table:
    """What was started, where it listens, and how long each took."""
    table = _table("process", "state", "address", "ready after")
    for process in record.processes:
        took = f"{process.seconds_to_ready:.1f} s" if process.seconds_to_ready is not None else ""
        table.add_row(process.name, _coloured(process.state), process.address, took)
    return table


def status(record: Record) -> Table:
    """What runs at this moment."""
    table = _table("process", "state", "address", "pid", "memory", "restarts")
    for process in [*record.processes, record.supervisor]:
        running = orphans.find(process)
        state = process.state if running or process.pid is None else "gone"
        memory = f"{_resident(running) / MEBIBYTE:.0f} MiB" if running else ""
        table.add_row(
            process.name, _coloured(state), process.address, _pid(process), memory, str(process.restarts or "")
        )
    return table


def is_well(record: Record) -> bool:
    """Whether all of it runs and is healthy."""
    return record.phase == "ready" and all(
        process.state == "ready" and orphans.find(process) is not None for process in record.processes
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in ("pid", "memory", "restarts", "ready after") else "left",
            # Names and addresses are copied, so they stay in one piece as long as there is room for them.
            no_wrap=column in ("process", "address"),
            overflow="fold",
        )
    return table


def _coloured(state: str) -> str:
    return f"[{COLOURS.get(state, 'white')}]{state}[/]"


def _pid(process: ProcessRecord) -> str:
    return str(process.pid) if process.pid else ""


def _resident(process: psutil.Process) -> int:
    """Bytes of memory, with what PostgreSQL's children use on top of what they share with it."""
    own: int = process.memory_info().rss
    workers = process.children() if process.name() == "postgres" else []
    return own + sum(worker.memory_full_info().uss for worker in workers)
