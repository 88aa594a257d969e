"""Compares generated files with the checked-out ones, and copies what differs."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Kind(Enum):
    """How a checked-out file is not what the generator writes."""

    MISSING = "missing"
    CHANGED = "changed"
    STALE = "no longer generated"


@dataclass(frozen=True)
class Difference:
    """One file that is not as generated; `path` is relative to both trees."""

    path: Path
    kind: Kind


def between(fresh: Path, checkout: Path, owned: tuple[str, ...]) -> list[Difference]:
    """Every difference of `checkout` from `fresh`. Files are stale only in `owned` folders: nothing else lives there."""
    generated = set(_files(fresh, Path()))
    found = [difference for path in generated if (difference := _difference(fresh, checkout, path))]
    present = {path for folder in owned for path in _files(checkout, Path(folder))}
    found += [Difference(path, Kind.STALE) for path in present - generated]
    return sorted(found, key=lambda difference: difference.path)


def mend(differences: list[Difference], fresh: Path, checkout: Path) -> None:
    """Make `checkout` as generated. Files that are right already keep their time stamps."""
    for difference in differences:
        target = checkout / difference.path
        if difference.kind is Kind.STALE:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / difference.path, target)


def _difference(fresh: Path, checkout: Path, path: Path) -> Difference | None:
    if not (checkout / path).exists():
        return Difference(path, Kind.MISSING)
    if (fresh / path).read_bytes() != (checkout / path).read_bytes():
        return Difference(path, Kind.CHANGED)
    return None


def _files(tree: Path, folder: Path) -> Iterator[Path]:
    for path in (tree / folder).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(tree)
