"""A child process: started, watched, restarted with growing delays, stopped."""

import enum
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.stack.errors import StackError, last_lines

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
STEADY_AFTER_SECONDS = 30.0
PROBE_INTERVAL_SECONDS = 0.05


class State(enum.StrEnum):
    """What a child is doing."""

    STOPPED = enum.auto()
    STARTING = enum.auto()
    READY = enum.auto()
    RESTARTING = enum.auto()
    """It died, and is given a little time before it is started again."""


@dataclass(frozen=True)
class Program:
    """What to run and how to end it."""

    name: str
    command: Sequence[str]
    log: Path
    address: str
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    account: pwd.struct_passwd | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_patience_seconds: float = 30.0


class Child:
    """One running `Program`, replaced by a new process whenever it dies, until it is told to stop.

    `changed` is called at each change of state, `replaced` after a new process took the place of a dead one.
    """

    def __init__(
        self,
        program: Program,
        *,
        restarts: bool = True,
        changed: Callable[[], None] = lambda: None,
        replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self.program = program
        self.state = State.STOPPED
        self.deaths = 0
        self.seconds_to_ready: float | None = None
        self._restarts = restarts
        self._changed = changed
        self._replaced = replaced
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._spawned = 0.0

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._process.pid if self._process and self.state in (State.STARTING, State.READY) else None

    def start(self, once: Mapping[str, str] | None = None) -> None:
        """Run it. The variables in `once` are for this process only, not for those that replace it."""
        self._stopping.clear()
        self._spawn({**self.program.environment, **(once or {})})
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.program.name}", daemon=True)
        self._watcher.start()

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float, *, may_die: bool = False) -> None:
        """Return when `ready` says so. The timeout, or a death unless it `may_die`, is an error that shows the log."""
        deaths, began = self.deaths, time.monotonic()
        while not ready():
            if self.state is State.STOPPED or (self.deaths > deaths and not may_die):
                raise StackError(f"{self.program.name} died while starting:\n{last_lines(self.program.log)}")
            if time.monotonic() > began + timeout_seconds:
                raise StackError(
                    f"{self.program.name} is not ready after {timeout_seconds:.0f} s:\n{last_lines(self.program.log)}"
                )
            time.sleep(PROBE_INTERVAL_SECONDS)
        if self.state is State.STARTING:
            self.seconds_to_ready = time.monotonic() - self._spawned
            self._become(State.READY)

    def stop(self) -> None:
        """Ask it to end, wait, and kill it when its patience is over."""
        self._stopping.set()
        if self._watcher is None:
            return
        self.signal(self.program.stop_signal)
        self.signal(signal.SIGCONT)
        self._watcher.join(self.program.stop_patience_seconds)
        self.kill()
        self._watcher.join()
        self._watcher = None

    def kill(self) -> None:
        """Take it down as a power cut would."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the running process, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    def _watch(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while self._process is not None:
            started = time.monotonic()
            self._process.wait()
            if self._stopping.is_set() or not self._restarts:
                break
            self.deaths += 1
            self._become(State.RESTARTING)
            if time.monotonic() - started > STEADY_AFTER_SECONDS:
                delay = FIRST_DELAY_SECONDS
            if self._stopping.wait(delay):
                break
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            self._spawn(self.program.environment)
            threading.Thread(target=self._replaced, name=f"await {self.program.name}", daemon=True).start()
        self._become(State.STOPPED)

    def _spawn(self, environment: Mapping[str, str]) -> None:
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.program.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **run_as(self.program.account),
            )
        self._spawned = time.monotonic()
        self._become(State.STARTING)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed()


def run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments that make subprocess start a program under `account`, in no group of ours."""
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
