"""Where things lie in the checkout."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def migration_folders(package: str) -> list[Path]:
    """The migrations of a service (`services.orders`): those of the chassis, then its own."""
    return [ROOT / "chassis" / "database" / "migrations", ROOT.joinpath(*package.split("."), "migrations")]
