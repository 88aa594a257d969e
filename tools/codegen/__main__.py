"""Command line of the generator: write what differs, or with `--check` only tell."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from chassis.contract.descriptors import ContractError
from chassis.contract.manifest import ManifestError
from tools.codegen import drift
from tools.codegen.steps import OWNED, STEPS
from tools.paths import ROOT


def main() -> int:
    """Generate, or say what is wrong with what is generated from."""
    try:
        return generate()
    except (ManifestError, ContractError) as error:
        print(error, file=sys.stderr)
    except subprocess.CalledProcessError:
        print("generate: nothing was written, for the reason above", file=sys.stderr)
    return 1


def generate() -> int:
    """Build everything into an empty folder, then compare it with the checkout or copy it there."""
    parser = argparse.ArgumentParser(
        prog="./taskw generate", description="Write what is derived from the protos and manifests."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the checkout differs")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory(prefix="tradewind-generate-") as folder:
        fresh = Path(folder)
        for step in STEPS:
            step(fresh)
        differences = drift.between(fresh, ROOT, OWNED)
        if check:
            return report(differences)
        drift.mend(differences, fresh, ROOT)
    print(f"generate: {len(differences)} file(s) changed")
    return 0


def report(differences: list[drift.Difference]) -> int:
    """Name every file that is not what the generator would write; the exit code says whether there was one."""
    for difference in differences:
        print(f"{difference.kind.value}: {difference.path}", file=sys.stderr)
    if differences:
        print("Run `./taskw generate` and commit the result.", file=sys.stderr)
        return 1
    print("generate: nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
