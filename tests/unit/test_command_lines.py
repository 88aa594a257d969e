"""What a person is told who mistypes a command."""

import os
import subprocess
import sys

import pytest

from tools.stack.paths import ROOT


def test_a_stack_has_at_least_one_process_of_each_service() -> None:
    """Another number is refused."""
    for replicas in ("0", "-1", "many"):
        told = run(
            "tools.stack", "up", "--replicas", replicas, "--help"
        )  # Help, so that nothing is started whatever comes.
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.startswith("usage: ./taskw up ")
        assert told.stderr.endswith(f"argument --replicas: {replicas!r} is no number of processes: at least 1\n")


@pytest.mark.parametrize("commit", ["nonsense", "--all"])
def test_protos_are_compared_with_a_commit_there_is(commit: str) -> None:
    """Another name is said to be none."""
    told = run("tools.check.breaking", commit)
    assert (told.returncode, told.stdout, told.stderr) == (1, "", f"no such commit: {commit}\n")


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool as its task does."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}"},
        capture_output=True,
        text=True,
        check=False,
    )
