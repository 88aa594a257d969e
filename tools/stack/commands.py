"""What a person asks of the stack: up, down, status, logs."""

import os
import subprocess
import sys
import time
from pathlib import Path

from rich.live import Live

from tools.paths import ROOT
from tools.stack import display, orphans, state
from tools.stack.addresses import FreePorts, default_ports
from tools.stack.errors import NotRunning, StackError, last_lines
from tools.stack.options import Options
from tools.stack.state import Record, StateDir
from tools.stack.supervisor import supervise
from tools.stack.terminal import open_console

POLL_SECONDS = 0.1
DOWN_TIMEOUT_SECONDS = 120.0
SUPERVISOR_LOG = "supervisor.log"


def default_directory() -> StateDir:
    """Where the state lies: TRADEWIND_STATE_DIR, or .tradewind in the checkout."""
    return StateDir(Path(os.environ.get("TRADEWIND_STATE_DIR") or ROOT / ".tradewind").resolve())


def run(directory: StateDir, replicas: int, *, free_ports: bool) -> None:
    """Be the supervisor."""
    options = Options(
        ports=FreePorts() if free_ports else default_ports,
        replicas=replicas,
        database_url=os.environ.get("TRADEWIND_DATABASE_URL", ""),
        nats_url=os.environ.get("TRADEWIND_NATS_URL", ""),
    )
    supervise(directory, options)


def up(directory: StateDir, replicas: int | None = None, *, free_ports: bool = False) -> None:
    """Start the stack in the background, show how it goes, return when all of it is healthy.

    One that runs already will do if it has what is asked for; with no `replicas` asked for it may have any number.
    """
    console = open_console()
    record = state.read(directory) if directory.is_owned() else None
    if record is not None and record.phase == "ready":
        _refuse_other_options(record, replicas, free_ports=free_ports)
        console.print("The stack is running already.\n")
    else:
        record = _start(directory, _options(replicas or 1, free_ports=free_ports))
    console.print(display.addresses(record))
    console.print(f"\nAll healthy after {record.seconds:.1f} s. Logs: {directory.log('SERVICE')}", soft_wrap=True)


def down(directory: StateDir) -> None:
    """Stop everything, also what a killed supervisor left behind."""
    record = state.read(directory)
    if record is None:
        return
    supervisor = orphans.find(record.supervisor)
    if supervisor is not None:
        supervisor.terminate()
        orphans.wait([record.supervisor], DOWN_TIMEOUT_SECONDS)
    orphans.end(record.processes)
    state.forget(directory)


def status(directory: StateDir) -> None:
    """Show what runs; it is an error when not all of it does."""
    record = state.read(directory)
    if record is None:
        raise NotRunning
    open_console().print(display.status(record))
    if not display.is_well(record):
        raise StackError(record.error or "Not everything is healthy.")


def logs(directory: StateDir, name: str, *, follow: bool) -> None:
    """Print what a process has written, and with `follow` what it goes on to write."""
    path = directory.log(name)
    if not path.exists():
        known = sorted(log.stem for log in path.parent.glob("*.log"))
        raise StackError(f"There is no log of {name!r}. There are: {', '.join(known) or 'none yet'}")
    with path.open("rb") as log:
        while True:
            for line in log:
                sys.stdout.buffer.write(line)
            sys.stdout.flush()
            if not follow:
                return
            time.sleep(POLL_SECONDS)


def _refuse_other_options(record: Record, replicas: int | None, *, free_ports: bool) -> None:
    if replicas not in (None, record.replicas) or (free_ports and not record.free_ports):
        options = " ".join(_options(record.replicas, free_ports=record.free_ports))
        raise StackError(f"The stack is running already, with {options}: run ./taskw down first")


def _options(replicas: int, *, free_ports: bool) -> list[str]:
    return ["--replicas", str(replicas), *(["--free-ports"] if free_ports else [])]


def _start(directory: StateDir, arguments: list[str]) -> Record:
    """Start a supervisor and see it through its start. Whoever interrupts that wants no stack."""
    supervisor = _spawn(directory, arguments)
    try:
        return _watch(directory, supervisor)
    except KeyboardInterrupt:
        supervisor.terminate()
        open_console().print("Interrupted: taking everything down again…")
        supervisor.wait(DOWN_TIMEOUT_SECONDS)
        raise


def _watch(directory: StateDir, supervisor: subprocess.Popen[bytes]) -> Record:
    """Show the record of a supervisor until all is well; raise what it could not do."""
    with Live(console=open_console(), transient=True) as live:
        while True:
            has_ended = supervisor.poll() is not None
            record = state.read(directory)
            if record is not None and record.supervisor.pid == supervisor.pid:
                live.update(display.addresses(record))
                if record.phase == "ready":
                    return record
                if record.error:
                    raise StackError(record.error)
            if has_ended and supervisor.returncode == 0:
                raise StackError("The stack was told to stop while it started.")
            if has_ended:
                raise StackError(f"The supervisor ended:\n{last_lines(directory.root / SUPERVISOR_LOG)}")
            time.sleep(POLL_SECONDS)


def _spawn(directory: StateDir, arguments: list[str]) -> subprocess.Popen[bytes]:
    """A supervisor of its own session: it outlives the terminal."""
    directory.root.mkdir(parents=True, exist_ok=True)
    with (directory.root / SUPERVISOR_LOG).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tools.stack", "supervise", *arguments],
            cwd=ROOT,
            env={**os.environ, "TRADEWIND_STATE_DIR": str(directory.root)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
