"""What staff do with the sagas of a service: look at them, and turn those that cannot end by themselves."""

from collections.abc import Iterable
from typing import Any

from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from chassis.saga import store
from chassis.saga.driver import Driver
from chassis.saga.errors import SagaUnreadable
from chassis.saga.events import ForceCompensateAsked, ForceCompleteAsked, RetryAsked, Wish
from chassis.saga.machine import Status
from chassis.saga.store import SagaRecord

FORCED_BACKWARD = "CANCELLED_BY_STAFF"
"""The reason a saga's service is given for one that was turned back by hand."""


class Sagas:
    """Every wish is recorded in the saga's history, with who had it and why."""

    def __init__(self, database: Database, clock: Clock, drivers: Iterable[Driver[Any]]) -> None:
        self._database = database
        self._clock = clock
        self._drivers = {driver.plan.kind: driver for driver in drivers}
        self._plans = {kind: driver.plan for kind, driver in self._drivers.items()}

    async def list(self, *, status: Status | None, after: str | None, limit: int) -> list[SagaRecord]:
        """At most `limit` sagas after that one, the oldest first."""
        async with self._database.read() as reader:
            return await store.page(reader, self._plans, status, after, limit)

    async def get(self, saga_id: str) -> SagaRecord:
        """One saga with its history. Raises SagaNotFound."""
        async with self._database.read() as reader:
            return await store.find(reader, self._plans, saga_id)

    async def retry(self, tx: Transaction, staff_id: str, saga_id: str, note: str) -> SagaRecord:
        """Have the step at hand tried again. Raises SagaNotFound, SagaUnreadable, AlreadyFinished."""
        return await self._grant(tx, saga_id, RetryAsked(self._clock.now(), staff_id, note))

    async def force_forward(self, tx: Transaction, staff_id: str, saga_id: str, note: str) -> SagaRecord:
        """Take the step at hand for done. Raises SagaNotFound, SagaUnreadable, AlreadyFinished, ForceNotPossible."""
        return await self._grant(tx, saga_id, ForceCompleteAsked(self._clock.now(), staff_id, note))

    async def force_backward(self, tx: Transaction, staff_id: str, saga_id: str, note: str) -> SagaRecord:
        """Undo what was done, or take a stuck undo for done.

        Raises SagaNotFound, SagaUnreadable, AlreadyFinished, AlreadyCompensating.
        """
        wish = ForceCompensateAsked(self._clock.now(), staff_id, note, reason=FORCED_BACKWARD)
        return await self._grant(tx, saga_id, wish)

    async def _grant(self, tx: Transaction, saga_id: str, wish: Wish) -> SagaRecord:
        driver = self._drivers.get((await store.find(tx, self._plans, saga_id)).kind)
        if driver is None:
            raise SagaUnreadable("Another version of this program has written this saga.", saga_id=saga_id)
        await driver.grant(tx, saga_id, wish)
        return await store.find(tx, self._plans, saga_id)
