"""The whole stack in one hand: bring it up and down, reach its parts, break and mend them."""

import signal
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tools.stack.errors import StackError
from tools.stack.options import Options
from tools.stack.parts import assemble
from tools.stack.process import Child
from tools.stack.startup import bring_up, provision
from tools.stack.state import ProcessRecord, StateDir

# What nothing else stands on goes first; services go between.
STOPPED_FIRST = ("edge",)
STOPPED_LAST = ("mail", "broker", "database")
KILL_TIMEOUT_SECONDS = 10.0


class Stack:
    """Everything Tradewind needs to run, as children of this process, with its state in one directory.

    A person has one, under a supervisor; tests make their own beside it with `Options(ports=FreePorts())`. Processes
    go by the names `status` shows: `database`, `broker`, `mail`, `edge`, `orders`, and `orders-2` for a second one.
    """

    def __init__(
        self, directory: Path, options: Options | None = None, *, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.directory = StateDir(directory.resolve())
        self._parts = assemble(self.directory, options or Options())
        self._children = {
            name: Child(server.program, changed=changed, replaced=partial(self._recover, name))
            for name, server in self._parts.servers.items()
        }
        self._is_wanted = False
        self._starting = threading.Lock()

    def __enter__(self) -> Self:
        """Bring it up."""
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it down."""
        self.down()

    def up(self) -> None:
        """Start everything, in parallel where nothing forbids it; return when all of it is healthy."""
        self._is_wanted = True
        bring_up(self._parts, self.directory, self.start, self.down)

    def down(self) -> None:
        """Stop everything: the edge first, then the services, then what they stand on."""
        with self._starting:
            self._is_wanted = False
        services = [name for name in self._children if name not in (*STOPPED_FIRST, *STOPPED_LAST)]
        with ThreadPoolExecutor(max_workers=len(self._children)) as pool:
            for together in (STOPPED_FIRST, services, *([name] for name in STOPPED_LAST)):
                list(pool.map(self.stop, [name for name in together if name in self._children]))

    def start(self, name: str, once: Mapping[str, str] | None = None) -> None:
        """Start one process and wait until it is healthy. The variables in `once` are not for those that replace it."""
        self._parts.servers[name].prepare()
        # Whatever starts does so before the stack goes down, and goes down with it, or not at all.
        with self._starting:
            if not self._is_wanted:
                raise StackError(f"{name} is not started: the stack is going down")
            self._children[name].start(once)
        self._see_through(name, may_die=False)

    def stop(self, name: str) -> None:
        """Let one process finish what it does, and end it."""
        self._children[name].stop()

    def restart(self, name: str, once: Mapping[str, str] | None = None) -> None:
        """Stop one process as a deployment would, and start it again."""
        self.stop(name)
        self.start(name, once)

    def kill(self, name: str) -> None:
        """SIGKILL one process; another takes its place at once."""
        child, deaths = self._children[name], self._children[name].deaths
        child.kill()
        child.wait_until(lambda: child.deaths > deaths, KILL_TIMEOUT_SECONDS, may_die=True)

    def pause(self, name: str) -> None:
        """SIGSTOP one process: it keeps its connections and does nothing."""
        self._children[name].signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused process go on."""
        self._children[name].signal(signal.SIGCONT)

    def wait_until_healthy(self, name: str) -> None:
        """Return when a process that was killed or resumed does its work again."""
        self._see_through(name, may_die=True)

    def pid(self, name: str) -> int | None:
        """The id of a running process."""
        return self._children[name].pid

    def deaths(self, name: str) -> int:
        """How often a process died and was replaced."""
        return self._children[name].deaths

    def address(self, name: str) -> str:
        """Where a process listens, HOST:PORT; of a service, where it serves gRPC."""
        return self._children[name].program.address

    def operations_address(self, name: str) -> str:
        """Where a service serves its metrics, HOST:PORT."""
        return self._parts.topology.instance(name).operations_address

    @property
    def edge_url(self) -> str:
        """The edge, for HTTP clients."""
        return f"http://{self.address('edge')}"

    def secret(self, service: str, name: str) -> str:
        """A secret of a service; `database_url` among them."""
        return (self.directory.secrets(service) / name).read_text()

    def instances(self) -> list[str]:
        """The names of all processes of services."""
        return [instance.name for instance in self._parts.topology.instances]

    def processes(self) -> list[ProcessRecord]:
        """What runs now."""
        return [_record(child) for child in self._children.values()]

    def _recover(self, name: str) -> None:
        """Look after a process that took the place of a dead one."""
        try:
            self._see_through(name, may_die=True)
        except StackError as error:
            print(error, file=sys.stderr)

    def _see_through(self, name: str, *, may_die: bool) -> None:
        """See a process through its start."""
        self._parts.servers[name].wait_until_ready(self._children[name], may_die=may_die)
        if name == "broker":  # It may be new, or have lost its disk and with it what was provisioned.
            provision(self._parts)


def _record(child: Child) -> ProcessRecord:
    program, pid = child.program, child.pid
    return ProcessRecord(
        name=program.name,
        state=child.state,
        address=program.address,
        pid=pid,
        started=started(pid),
        seconds_to_ready=child.seconds_to_ready,
        restarts=child.deaths,
    )


def started(pid: int | None) -> float | None:
    """When a process began, by which it is told from a later one of the same id."""
    try:
        return psutil.Process(pid).create_time() if pid else None
    except psutil.NoSuchProcess:
        return None
