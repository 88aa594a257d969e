"""The stack's commands, run as a person runs them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tools.paths import ROOT
from tools.stack import state
from tools.stack.state import ProcessRecord, Record, StateDir

LONGEST_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.05


class CommandLine:
    """`python -m tools.stack`, with a state directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = StateDir(directory)

    def __call__(self, *arguments: str, module: str = "tools.stack") -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(*arguments, module=module)
        output, complaints = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, complaints)

    def start(self, *arguments: str, module: str = "tools.stack") -> subprocess.Popen[str]:
        """Run it, without waiting for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, "TRADEWIND_STATE_DIR": str(self.directory.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def record(self) -> Record:
        """What the stack has written down of itself."""
        record = state.read(self.directory)
        assert record is not None
        return record

    def until_something_runs(self) -> list[ProcessRecord]:
        """What a stack that is coming up consists of, as soon as some of it runs."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            record = state.read(self.directory)
            if record is not None and any(process.pid for process in record.processes):
                return [record.supervisor, *record.processes]
            time.sleep(LOOK_AGAIN_SECONDS)
        raise AssertionError(f"after {LONGEST_SECONDS:.0f} s nothing runs")
