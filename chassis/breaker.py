"""A circuit breaker for each peer: after failures in a row its calls fail at once, until a probe succeeds."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from prometheus_client import Gauge
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from chassis import errors
from chassis.errors import Kind

STATE = Gauge("circuit_breaker_state", "0 closed, 1 half open, 2 open.", ("peer",))
_NUMBERS = {"closed": 0, "half-opened": 1, "opened": 2}

THRESHOLD = 10
OPEN_SECONDS = 2.0

# What says that the peer is in trouble, and not that the request was wrong or the caller in a hurry.
_FAILURES = (Kind.UNAVAILABLE, Kind.INTERNAL, Kind.DEADLINE_EXCEEDED)


class Breaker:
    """Guards the calls to one peer."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        factory = SyncCircuitBreakerFactory(default_threshold=THRESHOLD, default_ttl=OPEN_SECONDS)
        factory.add_listener(self._note)
        self._circuit = factory.get_breaker(peer)
        STATE.labels(peer).set(0)

    @contextmanager
    def guard(self, *, hurried: bool = False) -> Iterator[None]:
        """Around one call. Raises Unavailable PEER_CIRCUIT_OPEN instead of entering while the circuit is open.

        A hurried call's missed deadline, and a call given up, are the caller's own doing: they count neither way.
        """
        self._enter()
        try:
            yield
        except errors.Problem as problem:
            if problem.kind in _FAILURES and not (hurried and problem.kind is Kind.DEADLINE_EXCEEDED):
                self._circuit.__exit__(type(problem), problem, None)
            elif problem.kind not in _FAILURES:
                self._circuit.__exit__(None, None, None)
            raise
        else:
            self._circuit.__exit__(None, None, None)

    def _enter(self) -> None:
        try:
            self._circuit.__enter__()
        except OpenedState:
            message = f"{self._peer} has failed {THRESHOLD} times in a row: not asked again for a moment"
            retry = timedelta(seconds=OPEN_SECONDS)
            raise errors.Unavailable(message, reason="PEER_CIRCUIT_OPEN", retry_after=retry) from None

    def _note(self, _name: str, event: str, detail: Any) -> None:
        if event == "state_changed":
            STATE.labels(self._peer).set(_NUMBERS[detail.state])
