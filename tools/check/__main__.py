"""Runs the checks side by side, one line each, and shows what the failed ones said."""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tools.check.checks import CHECKS, Check
from tools.paths import ROOT


@dataclass(frozen=True)
class Outcome:
    """How one check went."""

    check: Check
    passed: bool
    output: str
    seconds: float


def main() -> int:
    """Run every check even when one fails; the exit code says whether all passed."""
    argparse.ArgumentParser(prog="./taskw lint", description="Run every check but the tests.").parse_args()
    with ThreadPoolExecutor(max_workers=2) as executor:
        outcomes = [report(outcome) for outcome in executor.map(run, CHECKS)]
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def run(check: Check) -> Outcome:
    """Run one check at the root of the checkout."""
    start = time.monotonic()
    done = subprocess.run(
        check.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Outcome(check, done.returncode == 0, done.stdout, time.monotonic() - start)


def report(outcome: Outcome) -> Outcome:
    """Print the line of a check, and its output when it failed."""
    mark = "ok  " if outcome.passed else "FAIL"
    print(f"{mark} {outcome.check.name} ({outcome.seconds:.1f} s)", flush=True)
    if not outcome.passed:
        print(f"     {' '.join(outcome.check.command)}\n{outcome.output}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
