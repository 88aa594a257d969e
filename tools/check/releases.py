"""What was released: of the contract, its kept image; of the rest, the last tag `v…` that this commit descends from."""

import subprocess

from tools.paths import ROOT

RELEASED = "protos/released.binpb"
"""The contract as it was last released, without its comments."""


def contract_release() -> str | None:
    """The commit that last wrote the released contract, if it is committed."""
    log = ["git", "log", "-1", "--format=%H", "--", RELEASED]
    found = subprocess.run(log, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.strip() or None


def last_release() -> str | None:
    """The newest tag `v…` in this commit's history, if there is one."""
    describe = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"]
    found = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def no_longer_as_in(commit: str, *patterns: str) -> list[str]:
    """The files of a commit that match a pattern of git's, and are others now, or gone."""
    compare = ["git", "diff", "--name-only", "--no-renames", "--diff-filter=DMT", commit, "--", *patterns]
    return subprocess.run(compare, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
