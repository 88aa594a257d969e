"""What sagas look like from afar."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from chassis.saga.machine import Status
from chassis.saga.store import Unfinished

UNFINISHED = Gauge("saga_unfinished", "Sagas that have not ended.", ["kind", "status"])
OLDEST_UNFINISHED = Gauge("saga_oldest_unfinished_seconds", "Age of the oldest saga that has not ended.", ["kind"])
FINISHED = Counter("saga_finished", "Sagas that ended.", ["kind", "status"])
STEP_SECONDS = Histogram(
    "saga_step_seconds", "Time a step took to be answered.", ["kind", "step", "direction", "outcome"]
)
CLAIMED = Counter("saga_claimed", "Sagas taken over after a pause or from a dead process.", ["kind"])
LOST = Counter("saga_lost", "Sagas another process or somebody's wish took away.", ["kind"])


def show_unfinished(kind: str, unfinished: Sequence[Unfinished], now: datetime) -> None:
    """Set the gauges to what the database says."""
    sagas = {entry.status: entry.sagas for entry in unfinished}
    for status in Status:
        if not status.is_final:
            UNFINISHED.labels(kind, status.value).set(sagas.get(status, 0))
    ages = [(now - entry.oldest).total_seconds() for entry in unfinished]
    OLDEST_UNFINISHED.labels(kind).set(max(ages, default=0))
