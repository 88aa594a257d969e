"""What was released: the state of the last tag `v…` that this commit descends from."""

import subprocess

from tools.paths import ROOT


def last_release() -> str | None:
    """The newest tag `v…` in this commit's history, if there is one."""
    describe = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"]
    found = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def no_longer_as_in(commit: str, *patterns: str) -> list[str]:
    """The files of a commit that match a pattern of git's, and are others now, or gone."""
    compare = ["git", "diff", "--name-only", "--no-renames", "--diff-filter=DMT", commit, "--", *patterns]
    return subprocess.run(compare, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
