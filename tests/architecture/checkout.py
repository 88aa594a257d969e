"""The files of this checkout that people write."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    """The files git knows or would add, by its patterns, without the generated ones."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns, ":!gen"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in sorted(names) if (ROOT / name).is_file()]


def relative(path: Path) -> str:
    """The name a test is known by."""
    return path.relative_to(ROOT).as_posix()
