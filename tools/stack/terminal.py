"""Where the tools print: a terminal, or the file or pipe in its place."""

import io
import sys

from rich.console import Console

WIDE = 1000
"""More than any line of ours: what goes into a file or a pipe is cut for nobody."""


def open_console() -> Console:
    """Standard output. A character it has no code for is replaced: the tools go on."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
