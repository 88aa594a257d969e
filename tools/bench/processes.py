"""What processes cost: CPU seconds spent so far, memory held now; with their children, unless those have names of their own."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """What a process holds, in MiB."""

    rss_mib: float
    """Resident; pages that several processes share count in each of them."""
    pss_mib: float
    """Proportional: a page that four processes share counts a quarter in each."""


@dataclass(frozen=True)
class Processes:
    """Several processes, by name."""

    pids: Mapping[str, int]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time each of them has spent in its life."""
        return {name: sum(map(_cpu_seconds, self._family(pid))) for name, pid in self.pids.items()}

    def memory(self) -> dict[str, Memory]:
        """What each of them holds now."""
        return {name: _memory(self._family(pid)) for name, pid in self.pids.items()}

    def _family(self, pid: int) -> list[psutil.Process]:
        process = psutil.Process(pid)
        return [process, *(child for child in process.children() if child.pid not in self.pids.values())]


@dataclass(frozen=True)
class Meter:
    """The CPU time of processes since the meter was started."""

    processes: Processes
    began: Mapping[str, float]

    @classmethod
    def started(cls, pids: Mapping[str, int]) -> "Meter":
        """A meter that starts now."""
        processes = Processes(pids)
        return cls(processes, processes.cpu_seconds())

    def read(self) -> dict[str, float]:
        """Seconds each of them has used since."""
        return {name: seconds - self.began[name] for name, seconds in self.processes.cpu_seconds().items()}


def _cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and of its children that have ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # It has just ended; its parent knows its time.
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _memory(family: list[psutil.Process]) -> Memory:
    held = [each.memory_full_info() for each in family]
    return Memory(sum(each.rss for each in held) / MEBIBYTE, sum(each.pss for each in held) / MEBIBYTE)
