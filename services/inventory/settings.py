"""What inventory is told from outside."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Settings:
    """How long stock is held for an order that nobody commits, and how often that is looked after."""

    reservation_seconds: float = 900
    sweep_seconds: float = 1

    @property
    def reservation_lifetime(self) -> timedelta:
        """How long a reservation holds its stock."""
        return timedelta(seconds=self.reservation_seconds)
