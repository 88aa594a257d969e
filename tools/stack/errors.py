"""What can go wrong with the local stack, said so that a person knows what to do next."""

from pathlib import Path


class StackError(Exception):
    """The stack cannot do what it was asked; the message is meant for the terminal."""


class NotRunning(StackError):
    """There is no stack to ask."""

    def __init__(self) -> None:
        super().__init__("The stack is not running. Start it with: ./taskw up")


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log file, indented for the terminal."""
    if not log.exists():
        return "  (no log was written)"
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"  {line}" for line in lines) or "  (the log is empty)"
