"""Installs requirements/dev.lock and the checkout into .venv, for `taskw`. Standard library only: nothing is there yet."""

import fcntl
import importlib.util
import re
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements/dev.lock"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
LOG = VENV / "install.log"
STAMP = VENV / "installed"

PIP_INSTALL = (str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps")
PACKAGES = (*PIP_INSTALL, "--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK))
# The build backend is among the packages, so this needs no network.
CHECKOUT = (*PIP_INSTALL, "--no-index", "--no-build-isolation", "--editable", str(ROOT))
COLLECTING = re.compile(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)")
FETCHING = re.compile(r" +(?:Downloading|Using cached) .* \((.+)\)")
LOCKED = re.compile(r"^\S+==(?!.*; sys_platform == 'win32')", re.MULTILINE)


def main() -> None:
    """Install once, whoever comes first; a second terminal waits and then finds it done."""
    check_python()
    turns = ROOT / ".cache/install.lock"
    turns.parent.mkdir(exist_ok=True)
    with turns.open("w") as turn:
        wait_for(turn)
        if read_stamp() != stamp():
            install()


def wait_for(turn: TextIO) -> None:
    """Take the turn to install; the kernel gives it back, however this process ends."""
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another terminal, which is installing")
        fcntl.flock(turn, fcntl.LOCK_EX)
        say("")


def check_python() -> None:
    """Stop with advice where the distribution has split venv from Python, as Debian does."""
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            f"taskw: {sys.executable} cannot make virtual environments.\n"
            "taskw: on Debian and Ubuntu, install python3-venv; or name another Python: TRADEWIND_PYTHON=/path/to/python3"
        )


def stamp() -> str:
    """What `taskw` compares: the checkout's place, since scripts in .venv have it inside, then the lock."""
    return f"{ROOT}\n{LOCK.read_text(encoding='utf-8')}"


def read_stamp() -> str:
    """The stamp of the last installation that went through; empty when there is none to build on."""
    return STAMP.read_text(encoding="utf-8") if PYTHON.exists() and STAMP.exists() else ""


def install() -> None:
    """Bring .venv to the lock; start afresh if an earlier attempt was cut short or the checkout has moved."""
    afresh = not read_stamp().startswith(f"{ROOT}\n")
    STAMP.unlink(missing_ok=True)
    if afresh:
        say(f"Making .venv with Python {sys.version.split()[0]}")
        venv.create(VENV, clear=True, with_pip=True, symlinks=True, prompt="tradewind")
    with LOG.open("w", encoding="utf-8") as log:
        run_pip(PACKAGES, log)
        run_pip(CHECKOUT, log)
    say("Installed.\n")
    STAMP.write_text(stamp(), encoding="utf-8")


def run_pip(command: tuple[str, ...], log: TextIO) -> None:
    """Run pip, telling how far it is; all that it says goes to .venv/install.log."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        show_progress(pip.stdout, log)
    if pip.returncode != 0:
        log.flush()
        last_lines = LOG.read_text(encoding="utf-8").splitlines()[-15:]
        sys.exit("\n".join(["", *last_lines, f"taskw: pip failed (exit code {pip.returncode}); see {LOG}"]))


def show_progress(lines: Iterable[str], log: TextIO) -> None:
    """Keep every line in the log, and show the package that is being fetched."""
    total = len(LOCKED.findall(LOCK.read_text(encoding="utf-8")))
    done, package = 0, ""
    for line in lines:
        log.write(line)
        if match := COLLECTING.match(line):
            done, package = done + 1, match[1]
        elif match := FETCHING.match(line):
            say(f"Fetching packages {done}/{total}: {package} ({match[1]})")
        elif line.startswith("Installing collected packages") and done:
            say(f"Unpacking {done} packages")


def say(text: str) -> None:
    """Write over the last line on a terminal; anywhere else, write one line after another."""
    sys.stderr.write(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text.rstrip()}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ntaskw: interrupted; the next run installs afresh")
