"""Who may import whom is a contract, in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from tools.paths import ROOT


def test_imports_point_one_way() -> None:
    """Every contract of import-linter is kept."""
    lint = [Path(sys.executable).parent / "lint-imports", "--cache-dir", ".cache/import-linter"]
    done = subprocess.run(lint, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
