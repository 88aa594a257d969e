"""What can be set about orders."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Each from the variable of its name, TRADEWIND_SAGA_LEASE_SECONDS and so on."""

    saga_lease_seconds: float = 10.0
    """How long a silent process is believed to be alive before its sagas are taken over."""
    saga_poll_seconds: float = 0.2
    """How often sagas are looked for that are due and driven by nobody."""
    saga_concurrency: int = 64
    """How many sagas one process drives at once."""
    saga_patience: int = 10
    """How many failures of a step in a row are borne before an order is undone."""
    saga_longest_pause_seconds: float = 5.0
    """The longest time between two attempts; the first is a tenth of a second, then it doubles."""
    stock_trusted_seconds: float = 300.0
    """How long stock is taken to be held as it was when the order was placed. Well below inventory's reservations."""
    watch_poll_seconds: float = 0.25
    """How soon a watcher learns of what another process did."""
