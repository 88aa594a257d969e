"""What inventory is told from outside."""

from dataclasses import dataclass
from datetime import timedelta

from chassis.core.settings import SettingsError


@dataclass(frozen=True)
class Settings:
    """How long stock is held for an order that nobody commits, and how often that is looked after."""

    reservation_seconds: float = 900
    sweep_seconds: float = 1

    def __post_init__(self) -> None:
        for name in ("reservation_seconds", "sweep_seconds"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"TRADEWIND_{name.upper()}: {getattr(self, name)} is not above zero")

    @property
    def reservation_lifetime(self) -> timedelta:
        """How long a reservation holds its stock."""
        return timedelta(seconds=self.reservation_seconds)
