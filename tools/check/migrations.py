"""Lints what the migrations do on their way up; the way down takes back what is new, so dropping is its purpose.

Those of a release have run on databases, and will not run there again: they stay as they are.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tools.check.releases import last_release, no_longer_as_in
from tools.paths import ROOT


def main() -> int:
    """Lint the upward halves, at the same relative paths and lines, so that what squawk says can be followed."""
    release = last_release()
    edited = (
        no_longer_as_in(release, "chassis/database/migrations/*.sql", "services/*/migrations/*.sql") if release else []
    )
    for path in edited:
        print(f"{path} is part of {release}, and stays as it is: write a new migration")
    with tempfile.TemporaryDirectory(prefix="tradewind-migrations-") as folder:
        paths = [write_upward_half(path, Path(folder)) for path in migrations()]
        lint = ["squawk", "--config", str(ROOT / ".squawk.toml"), *map(str, paths)]
        linted = subprocess.run(lint, cwd=folder, check=False).returncode
    return linted or int(bool(edited))


def migrations() -> list[Path]:
    """Every migration, relative to the checkout."""
    found = [*ROOT.glob("chassis/database/migrations/*.sql"), *ROOT.glob("services/*/migrations/*.sql")]
    return sorted(path.relative_to(ROOT) for path in found)


def write_upward_half(path: Path, folder: Path) -> Path:
    """Copy what stands before the down marker to the same relative path below `folder`."""
    upward, _, _ = (ROOT / path).read_text(encoding="utf-8").partition("-- migrate:down")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(upward, encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
