"""The mail sink as a process of the stack."""

import sys
from pathlib import Path

from tools.stack.addresses import HOST
from tools.stack.health import is_listening
from tools.stack.process import Program
from tools.stack.server import Server


class MailSink(Server):
    """Keeps every mail in `directory`; see `tools.stack.fakes.smtp_sink`."""

    def __init__(self, directory: Path, port: int, log: Path) -> None:
        self._directory = directory
        self._port = port
        self._log = log

    @property
    def program(self) -> Program:
        """What starts the sink."""
        address = f"{HOST}:{self._port}"
        command = [sys.executable, "-m", "tools.stack.fakes.smtp_sink", address, str(self._directory)]
        return Program(name="mail", command=command, log=self._log, address=address)

    def is_ready(self, pid: int | None) -> bool:
        """Whether it accepts connections."""
        return is_listening(self._port)
