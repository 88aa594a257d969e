"""What staff do with sagas that cannot end by themselves."""

from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from chassis.rpc.call import Principal
from chassis.saga import store as sagas
from chassis.saga.driver import Driver
from chassis.saga.events import ForceCompensateAsked, ForceCompleteAsked, RetryAsked, Wish
from chassis.saga.machine import Status
from chassis.saga.store import SagaRecord
from services.orders.domain import Checkout


class Sagas:
    """Every wish is recorded in the saga's history, with who had it and why."""

    def __init__(self, database: Database, clock: Clock, checkouts: Driver[Checkout]) -> None:
        self._database = database
        self._clock = clock
        self._checkouts = checkouts

    async def list_sagas(self, *, status: Status | None, after: str | None, limit: int) -> list[SagaRecord]:
        """At most `limit` sagas after that one, the oldest first."""
        async with self._database.read() as reader:
            return await sagas.page(reader, self._checkouts.plan, status, after, limit)

    async def get_saga(self, saga_id: str) -> SagaRecord:
        """One saga with its history. Raises SagaNotFound."""
        async with self._database.read() as reader:
            return await sagas.find(reader, self._checkouts.plan, saga_id)

    async def retry_saga(self, tx: Transaction, staff: Principal, saga_id: str, note: str) -> SagaRecord:
        """Have the step at hand tried again. Raises SagaNotFound, AlreadyFinished."""
        return await self._grant(tx, saga_id, RetryAsked(self._clock.now(), staff.subject, note))

    async def force_forward(self, tx: Transaction, staff: Principal, saga_id: str, note: str) -> SagaRecord:
        """Take the step at hand for done. Raises SagaNotFound, AlreadyFinished, ForceNotPossible."""
        return await self._grant(tx, saga_id, ForceCompleteAsked(self._clock.now(), staff.subject, note))

    async def force_backward(self, tx: Transaction, staff: Principal, saga_id: str, note: str) -> SagaRecord:
        """Undo what was done, or take a stuck undo for done. Raises SagaNotFound, AlreadyFinished, AlreadyCompensating."""
        wish = ForceCompensateAsked(self._clock.now(), staff.subject, note, reason="CANCELLED_BY_STAFF")
        return await self._grant(tx, saga_id, wish)

    async def _grant(self, tx: Transaction, saga_id: str, wish: Wish) -> SagaRecord:
        await self._checkouts.grant(tx, saga_id, wish)
        return await sagas.find(tx, self._checkouts.plan, saga_id)
