"""The files of this checkout that people write."""

import subprocess
from pathlib import Path

from tools.paths import ROOT


def tracked(*patterns: str) -> list[Path]:
    """The files git knows or would add, by its patterns, without the generated ones."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    # Not by git's own exclusion: beside patterns of one folder it leaves out everything.
    return [ROOT / name for name in sorted(names) if not name.startswith("gen/") and (ROOT / name).is_file()]


def relative(path: Path) -> str:
    """The name a test is known by."""
    return path.relative_to(ROOT).as_posix()
