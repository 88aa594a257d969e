"""What notifications does: one function each. Sending is the sender's."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chassis.core import ids
from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from services.notifications import store
from services.notifications.domain import (
    Delivery,
    DeliveryNotFound,
    Order,
    Preferences,
    Recipient,
    State,
    Template,
    Topic,
)
from services.notifications.sender import Sender

# Longer than any inbox remembers a fact, so that none is told twice.
DELIVERIES_KEPT: Final = timedelta(days=90)
SWEEP_EVERY_SECONDS: Final = 3600
SWEPT_TOGETHER: Final = 5_000


@dataclass(frozen=True, slots=True)
class UseCases:
    """The use cases, over the database they read, the clock they tell time by, and the sender they wake."""

    database: Database
    clock: Clock
    sender: Sender

    async def welcome(self, tx: Transaction, event_id: str, recipient: Recipient) -> None:
        """Get to know a user, and greet them. Mails that have waited for their address are due from now on."""
        store.add_recipient(tx, recipient)
        self._queue(tx, event_id, recipient.user_id, Template.WELCOME)

    async def tell_of_order(
        self, tx: Transaction, event_id: str, user_id: str, template: Template, order: Order
    ) -> None:
        """Let a user know what became of an order, whether or not we know yet who that is."""
        self._queue(tx, event_id, user_id, template, order)

    def _queue(
        self, tx: Transaction, event_id: str, user_id: str, template: Template, order: Order | None = None
    ) -> None:
        now = self.clock.now()
        delivery = Delivery(
            delivery_id=ids.uuid7(),
            user_id=user_id,
            template=template,
            state=State.QUEUED,
            attempts=0,
            last_reason="",
            due_at=now,
            created_at=now,
            sent_at=None,
        )
        store.queue(tx, delivery, event_id, order)
        tx.on_commit(self.sender.wake)

    async def get_preferences(self, user_id: str) -> Preferences:
        """What a user wants to hear of: everything, when they never said."""
        async with self.database.read() as reader:
            return await store.find_preferences(reader, user_id) or Preferences(user_id)

    async def update_preferences(
        self, tx: Transaction, user_id: str, muted_topics: frozenset[Topic], etag: str
    ) -> Preferences:
        """Mute these topics and no others, from the next fact on. Raises EtagMismatch."""
        changed = (await store.lock_preferences(tx, user_id)).changed(muted_topics, etag)
        store.save_preferences(tx, changed)
        return changed

    async def list_deliveries(
        self, *, user_id: str | None, state: State | None, before: str, limit: int
    ) -> list[Delivery]:
        """At most `limit` deliveries from before another one, the newest first. `user_id` None: to whomever."""
        async with self.database.read() as reader:
            return await store.list_deliveries(reader, user_id=user_id, state=state, before=before, limit=limit)

    async def retry_delivery(self, tx: Transaction, delivery_id: str) -> Delivery:
        """Try a failed delivery once more. Raises DeliveryNotFound, DeliveryNotFailed."""
        delivery = await store.lock_delivery(tx, delivery_id)
        if delivery is None:
            raise DeliveryNotFound("there is no such delivery", delivery_id=delivery_id)
        queued = delivery.queued_again(self.clock.now())
        store.queue_again(tx, queued)
        tx.on_commit(self.sender.wake)
        return queued

    async def sweep(self) -> None:
        """Forget deliveries that were over long ago."""
        created_before = self.clock.now() - DELIVERIES_KEPT
        async with self.database.read() as reader:
            while await store.forget(reader, created_before, at_most=SWEPT_TOGETHER) == SWEPT_TOGETHER:
                pass

    async def keep_sweeping(self) -> None:
        """Sweep now and then, for as long as the process lives."""
        while True:
            await self.sweep()
            await self.clock.sleep(SWEEP_EVERY_SECONDS)
