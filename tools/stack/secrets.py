"""Secrets made once, at random, each in a file that only its owner can read."""

import os
import secrets
from pathlib import Path


def kept(path: Path, first: str | None = None) -> str:
    """The secret in `path`; on the first call it is made, at random unless it is to be `first`."""
    if not path.exists():
        write(path, first or secrets.token_hex(32))
    return path.read_text()


def write(path: Path, secret: str) -> None:
    """Put a secret into a file of mode 0600, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret)
    unfinished.rename(path)
