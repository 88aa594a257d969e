"""A circuit breaker for each peer: after failures in a row its calls fail at once, until one of them, a probe, succeeds."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from prometheus_client import Gauge
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import HALF_OPENED, OpenedState

from chassis.core import errors
from chassis.core.errors import Kind

STATE = Gauge("circuit_breaker_state", "0 closed, 1 half open, 2 open.", ("peer",))
_NUMBERS = {"closed": 0, "half-opened": 1, "opened": 2}

THRESHOLD = 10
OPEN_SECONDS = 2.0

# What says that the peer is in trouble, and not that the request was wrong or the deadline too short.
_FAILURES = (Kind.UNAVAILABLE, Kind.INTERNAL, Kind.DEADLINE_EXCEEDED)


class Breaker:
    """Guards the calls to one peer."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        factory = SyncCircuitBreakerFactory(default_threshold=THRESHOLD, default_ttl=OPEN_SECONDS)
        factory.add_listener(self._note)
        self._circuit = factory.get_breaker(peer)
        self._is_probed = False
        STATE.labels(peer).set(0)

    @contextmanager
    def guard(self, *, short_deadline: bool = False) -> Iterator[None]:
        """Around one call. Raises Unavailable PEER_CIRCUIT_OPEN instead of entering while the circuit is open, or is probed.

        A deadline missed that was shorter than the policy, and a call given up, are the caller's own doing: they count neither way.
        """
        with self._entered():
            try:
                yield
            except errors.Problem as problem:
                if problem.kind in _FAILURES and not (short_deadline and problem.kind is Kind.DEADLINE_EXCEEDED):
                    self._circuit.__exit__(type(problem), problem, None)
                elif problem.kind not in _FAILURES:
                    self._circuit.__exit__(None, None, None)
                raise
            else:
                self._circuit.__exit__(None, None, None)

    @contextmanager
    def _entered(self) -> Iterator[None]:
        # A half open circuit lets everybody in, to wait side by side for a peer that may still hang: one is enough.
        if self._is_probed and self._is_half_open:
            raise self._refusal()
        try:
            self._circuit.__enter__()
        except OpenedState:
            raise self._refusal() from None
        if not self._is_half_open:
            yield
            return
        self._is_probed = True
        try:
            yield
        finally:
            self._is_probed = False

    @property
    def _is_half_open(self) -> bool:
        return self._circuit.context.state == HALF_OPENED

    def _refusal(self) -> errors.Unavailable:
        message = f"{self._peer} has failed {THRESHOLD} times in a row: not asked again for a moment"
        retry = timedelta(seconds=OPEN_SECONDS)
        return errors.Unavailable(message, reason="PEER_CIRCUIT_OPEN", retry_after=retry)

    def _note(self, _name: str, event: str, detail: Any) -> None:
        if event == "state_changed":
            STATE.labels(self._peer).set(_NUMBERS[detail.state])
