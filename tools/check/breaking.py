"""Compares the contracts with those of a release: by the rules of `buf breaking`, option by option, event by event.

What was released is the image committed with the last release tag that this commit descends from. Before the first
release nothing is promised yet, so the last commit is compared with: that still tells what an edit would break.
"""

import argparse
import subprocess
import sys

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.check.promises import broken
from tools.check.releases import last_release, no_longer_as_in
from tools.paths import ROOT

IMAGE = "gen/tradewind.binpb"
GOLDEN = "tests/contract/golden"


def main() -> int:
    """Compare with the commit named on the command line, or with the last release."""
    base = commit_asked_for() or last_release() or "HEAD"
    released = subprocess.run(["git", "show", f"{base}:{IMAGE}"], cwd=ROOT, capture_output=True, check=False)
    if released.returncode != 0:
        print(f"{base} has no {IMAGE}" if is_commit(base) else f"no such commit: {base}", file=sys.stderr)
        return 1
    build = ["buf", "build", "protos", "--output", "-#format=binpb"]
    now = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if now.returncode != 0:
        return 1  # The protos do not compile, as buf has said.
    print(f"Comparing protos/ with {base}{', for want of a release (a tag v…)' if base == 'HEAD' else ''}", flush=True)
    compare = ["buf", "breaking", "protos", "--against", "-#format=binpb"]
    by_buf = subprocess.run(compare, cwd=ROOT, input=released.stdout, check=False).returncode
    images = map(FileDescriptorSet.FromString, (released.stdout, now.stdout))
    found = [*broken(*images), *lost_examples(base)]
    for sentence in found:
        print(sentence)
    if not found and by_buf == 0:
        return 0
    print(advice(base))
    return 1


def commit_asked_for() -> str:
    """The commit on the command line, or nothing. What git has no commit for is told like any other name."""
    parser = argparse.ArgumentParser(prog="./taskw breaking", description="Compare the protos with another commit's.")
    parser.add_argument("commit", nargs="?", default="", help="a tag, a branch, a hash (default: the last release)")
    arguments, others = parser.parse_known_args()
    return " ".join([*filter(None, [arguments.commit]), *others])


def lost_examples(base: str) -> list[str]:
    """The golden events of `base` that are gone or others: facts like them may lie in a broker or an outbox."""
    paths = no_longer_as_in(base, GOLDEN)
    return [f"{path}: a golden event is kept as it is: git checkout {base} -- {path}" for path in paths]


def advice(base: str) -> str:
    """What to do about a break."""
    if base == "HEAD":
        return "Nothing is released yet: whoever means it commits it."
    return "Keep what others rely on, and add the new beside it: a field, a method, a package v2."


def is_commit(name: str) -> bool:
    """Whether git knows a commit by this name."""
    parse = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    return subprocess.run(parse, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
