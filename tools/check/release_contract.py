"""Makes the contract as it stands the released one, which `./taskw breaking` compares every later one with."""

import argparse
import subprocess
import sys

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tools.check import breaking
from tools.check.releases import RELEASED, contract_release
from tools.paths import ROOT


def main() -> int:
    """Write the image, unless it breaks the one before: what is released is kept."""
    about = "Make the contract as it stands the released one."
    argparse.ArgumentParser(prog="./taskw release-contract", description=about).parse_args()
    generated = [sys.executable, "-m", "tools.codegen", "--check"]
    if subprocess.run(generated, cwd=ROOT, check=False).returncode != 0:
        return 1
    target = ROOT / RELEASED
    if target.exists() and breaking.compare(target.read_bytes(), contract_release(), RELEASED) != 0:
        return 1
    target.write_bytes(without_comments((ROOT / breaking.IMAGE).read_bytes()))
    print(f"wrote {RELEASED}: commit it")
    return 0


def without_comments(image: bytes) -> bytes:
    """An image without what changes no promise: comments, and where they stand."""
    released = FileDescriptorSet.FromString(image)
    for file in released.file:
        file.ClearField("source_code_info")
    return released.SerializeToString(deterministic=True)


if __name__ == "__main__":
    sys.exit(main())
