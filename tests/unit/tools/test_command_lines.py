"""What a person is told who mistypes a command."""

import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tools.paths import ROOT


@dataclass(frozen=True)
class Told:
    """What a program said, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Told]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("tools.stack", "up")` does as `python -m tools.stack up`, in this process: a new one takes half a second."""

    def run(module: str, *arguments: str) -> Told:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return Told(exit_.value.code, *capsys.readouterr())

    return run


def test_a_stack_has_at_least_one_process_of_each_service(run: Run) -> None:
    """Another number is refused."""
    for replicas in ("0", "-1", "many"):
        told = run(
            "tools.stack", "up", "--replicas", replicas, "--help"
        )  # Help, so that nothing is started whatever comes.
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.startswith("usage: ./taskw up ")
        assert told.stderr.endswith(f"argument --replicas: {replicas!r} is no number of processes: at least 1\n")


@pytest.mark.parametrize("commit", ["nonsense", "--all"])
def test_protos_are_compared_with_a_commit_there_is(run: Run, commit: str) -> None:
    """Another name is said to be none."""
    told = run("tools.check.breaking", commit)
    assert (told.returncode, told.stdout, told.stderr) == (1, "", f"no such commit: {commit}\n")


@pytest.mark.parametrize("since", ["yesterday", "99999999999d", "2026-02-30"])
def test_facts_are_replayed_since_a_time(run: Run, since: str) -> None:
    """Whatever is none is answered with what one looks like."""
    told = run("tools.ops", "replay", "orders", "--since", since)
    assert told.returncode == 2
    form = "2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d"
    assert told.stderr.endswith(f"argument --since: {since!r} is no time: {form}\n")


@pytest.mark.parametrize(
    ("module", "words", "typed"),
    [
        ("tools.stack", ["up"], "up"),
        ("tools.stack", ["logs"], "logs"),
        ("tools.ops", ["replay"], "replay"),
        ("tools.ops", ["dead-letters", "redrive"], "dead-letters redrive"),
        ("tools.importer", [], "import"),
        ("tools.demo", [], "demo"),
        ("tools.codegen", [], "generate"),
        ("tools.codegen.golden", [], "golden"),
        ("tools.check", [], "lint"),
        ("tools.check.breaking", [], "breaking"),
        ("tools.bench", [], "bench"),
    ],
)
def test_usage_is_what_a_person_types(run: Run, module: str, words: list[str], typed: str) -> None:
    """So that the line can be copied."""
    assert run(module, *words, "--help").stdout.startswith(f"usage: ./taskw {typed} ")


def test_a_task_that_is_not_there_is_answered_with_those_that_are() -> None:
    """And not with the manual of what runs them."""
    told = subprocess.run([ROOT / "taskw", "lgos"], capture_output=True, text=True, check=False)
    first, *tasks = told.stderr.splitlines()
    assert (told.returncode, told.stdout, first) == (2, "", "taskw: no such task: lgos")
    # In CI, go-task colours their names.
    assert any("Show what a service logged" in task for task in tasks)
