"""The process in the background that owns the stack of a person, from `up` to `down`."""

import os
import shutil
import signal
import threading
import time
from types import FrameType

from tools.stack import orphans, state
from tools.stack.addresses import FreePorts
from tools.stack.errors import StackError
from tools.stack.options import Options
from tools.stack.stack import Stack, started
from tools.stack.state import ProcessRecord, Record, StateDir


class Stopped(BaseException):
    """Somebody asked the supervisor to end."""


def supervise(directory: StateDir, options: Options) -> None:
    """Keep the stack running until SIGTERM, and its record up to date; the record says why when it cannot start."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    _take_turns()
    with directory.owned():
        _clean(directory)
        _Supervisor(directory, options).run()


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _take_turns() -> None:
    """A dozen processes share a few cores: let none interrupt another only because something has arrived for it.

    Whoever has waited finds more to do at once, in caches that are still warm: about 8 % more orders on two cores.
    """
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _clean(directory: StateDir) -> None:
    """Remove what an earlier stack that was killed left behind."""
    earlier = state.read(directory)
    if earlier is not None:
        orphans.end(earlier.processes)
    state.forget(directory)
    shutil.rmtree(directory.log("any").parent, ignore_errors=True)


class _Supervisor:
    """Writes down what the stack does while it does it."""

    def __init__(self, directory: StateDir, options: Options) -> None:
        self._directory = directory
        self._options = options
        self._began = time.monotonic()
        self._phase = "starting"
        self._seconds: float | None = None
        self._error = ""
        self._lock = threading.Lock()
        self._stack = Stack(directory.root, options, changed=self._write)

    def run(self) -> None:
        try:
            self._write()
            self._stack.up()
            self._seconds = time.monotonic() - self._began
            self._enter("ready")
            while True:
                signal.pause()
        except StackError as error:
            self._error = str(error)
            self._enter("failed")
        except Stopped:
            self._enter("stopping")
            self._stack.down()
            state.forget(self._directory)

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._write()

    def _write(self) -> None:
        pid = os.getpid()
        with self._lock:
            supervisor = ProcessRecord(name="supervisor", state="ready", address="", pid=pid, started=started(pid))
            seconds = self._seconds or time.monotonic() - self._began
            record = Record(
                self._phase,
                supervisor,
                self._stack.processes(),
                seconds,
                self._error,
                replicas=self._options.replicas,
                free_ports=isinstance(self._options.ports, FreePorts),
            )
            state.write(self._directory, record)
