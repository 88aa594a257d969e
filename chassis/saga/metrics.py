"""What sagas look like from afar."""

from prometheus_client import Counter, Gauge, Histogram

UNFINISHED = Gauge("saga_unfinished", "Sagas that have not ended.", ["kind", "status"])
OLDEST_UNFINISHED = Gauge("saga_oldest_unfinished_seconds", "Age of the oldest saga that has not ended.", ["kind"])
FINISHED = Counter("saga_finished", "Sagas that ended.", ["kind", "status"])
STEP_SECONDS = Histogram(
    "saga_step_seconds", "Time a step took to be answered.", ["kind", "step", "direction", "outcome"]
)
CLAIMED = Counter("saga_claimed", "Sagas taken over after a pause or from a dead process.", ["kind"])
LOST = Counter("saga_lost", "Sagas another process or somebody's wish took away.", ["kind"])
