"""Compares the protos with the contract image of a release, by the rules of `buf breaking`.

What was released is the image committed with the last release tag that this commit descends from. Before the first
release nothing is promised yet, so the last commit is compared with: that still tells what an edit would break.
"""

import subprocess
import sys

from tools.check.checks import ROOT

IMAGE = "gen/tradewind.binpb"


def main() -> int:
    """Compare with the commit named on the command line, or with the last release."""
    base = sys.argv[1] if len(sys.argv) > 1 else last_release()
    released = subprocess.run(["git", "show", f"{base}:{IMAGE}"], cwd=ROOT, capture_output=True, check=False)
    if released.returncode != 0:
        print(f"{base} has no {IMAGE}" if is_commit(base) else f"no such commit: {base}", file=sys.stderr)
        return 1
    print(f"Comparing protos/ with {base}")
    compare = ["buf", "breaking", "protos", "--against", "-#format=binpb"]
    return subprocess.run(compare, cwd=ROOT, input=released.stdout, check=False).returncode


def is_commit(name: str) -> bool:
    """Whether git knows a commit by this name."""
    parse = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    return subprocess.run(parse, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0


def last_release() -> str:
    """The newest tag `v…` in this commit's history, or HEAD when there is none."""
    describe = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"]
    found = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "HEAD"


if __name__ == "__main__":
    sys.exit(main())
