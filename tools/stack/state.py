"""What a stack leaves in its directory, and where: its files, and the record of what runs."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.stack.errors import NotRunning, StackError


@dataclass(frozen=True)
class StateDir:
    """The files of one stack."""

    root: Path

    @property
    def database(self) -> Path:
        """PostgreSQL's cluster."""
        return self.root / "database"

    @property
    def broker(self) -> Path:
        """JetStream's store."""
        return self.root / "broker"

    @property
    def edge(self) -> Path:
        """Envoy's configuration as rendered for this stack."""
        return self.root / "edge"

    @property
    def mail(self) -> Path:
        """The mails that were sent."""
        return self.root / "mail"

    @property
    def provider(self) -> Path:
        """What the simulated payment provider remembers."""
        return self.root / "provider"

    def log(self, name: str) -> Path:
        """What a process has written to its standard output and error."""
        return self.root / "logs" / f"{name}.log"

    def secrets(self, service: str) -> Path:
        """The secrets of a service, a file each."""
        return self.root / "secrets" / service

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the directory for this process alone; the kernel lets go of it however the process ends."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(f"a stack already runs in {self.root}") from None
            yield

    def is_owned(self) -> bool:
        """Whether some process holds the directory."""
        try:
            with self.owned():
                return False
        except StackError:
            return True


@dataclass(frozen=True)
class ProcessRecord:
    """One process of the stack, as it was when the record was written."""

    name: str
    state: str
    address: str
    pid: int | None = None
    started: float | None = None
    """The process's creation time, by which it is told from a later one of the same pid."""
    seconds_to_ready: float | None = None
    restarts: int = 0


@dataclass(frozen=True)
class Record:
    """All that is known of a stack from outside of it."""

    phase: str
    """`starting`, `ready`, `failed` or `stopping`."""
    supervisor: ProcessRecord
    processes: list[ProcessRecord] = field(default_factory=list)
    seconds: float = 0.0
    """How long it took to become ready, or how long it has been starting."""
    error: str = ""
    replicas: int = 1
    """How many processes of each service it was started with."""
    free_ports: bool = False
    """Whether it listens on other ports than those people know."""

    def address(self, name: str) -> str:
        """Where a process listens, HOST:PORT."""
        return next(process.address for process in self.processes if process.name == name)


def write(directory: StateDir, record: Record) -> None:
    """Replace the record, so that a reader sees the old one or the new one."""
    directory.root.mkdir(parents=True, exist_ok=True)
    unfinished = directory.root / "stack.json.new"
    unfinished.write_text(json.dumps(asdict(record), indent=2))
    unfinished.rename(directory.root / "stack.json")


def read(directory: StateDir) -> Record | None:
    """The latest record, if there ever was one."""
    try:
        content = json.loads((directory.root / "stack.json").read_text())
    except FileNotFoundError:
        return None
    supervisor = ProcessRecord(**content.pop("supervisor"))
    processes = [ProcessRecord(**process) for process in content.pop("processes")]
    return Record(supervisor=supervisor, processes=processes, **content)


def running(directory: StateDir) -> Record:
    """The record of a stack that runs now: its addresses are its own. Raises NotRunning."""
    record = read(directory) if directory.is_owned() else None
    if record is None:
        raise NotRunning
    return record


def forget(directory: StateDir) -> None:
    """Remove the record: nothing runs any more."""
    (directory.root / "stack.json").unlink(missing_ok=True)
