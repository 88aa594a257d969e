"""Compares the contracts with those of a release: by the rules of `buf breaking`, option by option, event by event.

What was released is kept in protos/released.binpb, which `./taskw release-contract` alone writes; which golden events
there were, the commit that wrote it knows.
"""

import argparse
import subprocess
import sys

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.check.promises import broken
from tools.check.releases import RELEASED, contract_release, no_longer_as_in
from tools.paths import ROOT

IMAGE = "gen/tradewind.binpb"
GOLDEN = "tests/contract/golden"


def main() -> int:
    """Compare with the commit named on the command line, or with the last release."""
    commit = commit_asked_for()
    released = image_of(commit) if commit else (ROOT / RELEASED).read_bytes()
    if released is None:
        print(f"{commit} has no {IMAGE}" if is_commit(commit) else f"no such commit: {commit}", file=sys.stderr)
        return 1
    return compare(released, commit or contract_release(), commit or RELEASED)


def compare(released: bytes, commit: str | None, name: str) -> int:
    """Tell what of `released`, the contract known as `name`, is broken; and which golden events of `commit`, if there is one."""
    build = ["buf", "build", "protos", "--output", "-#format=binpb"]
    now = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if now.returncode != 0:
        return 1  # The protos do not compile, as buf has said.
    print(f"Comparing protos/ with {name}", flush=True)
    rules = ["buf", "breaking", "protos", "--against", "-#format=binpb"]
    by_buf = subprocess.run(rules, cwd=ROOT, input=released, check=False).returncode
    images = map(FileDescriptorSet.FromString, (released, now.stdout))
    found = [*broken(*images), *(lost_examples(commit) if commit else ())]
    for sentence in found:
        print(sentence)
    if not found and by_buf == 0:
        return 0
    print("Keep what others rely on, and add the new beside it: a field, a method, a package v2.")
    return 1


def image_of(commit: str) -> bytes | None:
    """The contract image of a commit, if it has one."""
    shown = subprocess.run(["git", "show", f"{commit}:{IMAGE}"], cwd=ROOT, capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


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


def is_commit(name: str) -> bool:
    """Whether git knows a commit by this name."""
    parse = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    return subprocess.run(parse, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
