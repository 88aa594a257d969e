"""What every process of the stack has in common: what to prepare, what to run, how to tell that it is ready."""

from abc import ABC, abstractmethod

from tools.stack.process import Child, Program


class Server(ABC):
    """One kind of process. The stack runs it for long; a test may `start` and `stop` it alone."""

    start_timeout_seconds = 30.0
    _alone: Child | None = None

    @property
    @abstractmethod
    def program(self) -> Program:
        """What to run and how to end it."""

    @property
    def ports(self) -> list[int]:
        """Every port it listens on."""
        return [int(self.program.address.rpartition(":")[2])]

    @abstractmethod
    def is_ready(self, pid: int | None) -> bool:
        """Whether the process running as `pid` does its work."""

    def prepare(self) -> None:  # noqa: B027 — most have nothing to make
        """Make what the program needs before it starts; calling it again does no harm."""

    def start(self) -> None:
        """Run it as a child of this process that is not replaced when it dies; return when it is ready."""
        self.prepare()
        self._alone = Child(self.program, restarts=False)
        self._alone.start()
        self.wait_until_ready(self._alone)

    def stop(self) -> None:
        """End what `start` started."""
        if self._alone is not None:
            self._alone.stop()

    def wait_until_ready(self, child: Child, *, may_die: bool = False) -> None:
        """Return when `child` does its work; too long a wait, or a death unless it `may_die`, is an error."""
        child.wait_until(lambda: self.is_ready(child.pid), self.start_timeout_seconds, may_die=may_die)
