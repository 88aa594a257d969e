"""What the simulated provider is told from outside."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where charges are remembered."""

    provider_directory: Path
    """Made when it is not there. A provider that is killed and started again finds its charges in it."""
