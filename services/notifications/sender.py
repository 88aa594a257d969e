"""Sends what is queued: leases deliveries that are due, writes each, hands it to the mail server, marks what came of it.

A mail that was sent but not marked, because its process died in between, is sent again when the lease has ended, under
the same Message-ID. A process that ends in peace finishes the mail under way and hands the others back.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from chassis.core import errors, failpoints, logs
from chassis.core.clock import Clock
from chassis.core.waiting import until_set
from chassis.database import Database
from services.notifications import metrics, store
from services.notifications.domain import Delivery, PendingMail, SmtpFailure, State
from services.notifications.mailer import Mailer, MailServerAway
from services.notifications.rendering import Renderer
from services.notifications.settings import Settings

SENT_TOGETHER: Final = 50
# After a batch, more arrives before the next: one statement for five mails costs little more than for one.
GATHER_SECONDS: Final = 0.05
FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 30.0
SETTLE_AGAIN_SECONDS: Final = 0.5
MEASURE_EVERY_SECONDS: Final = 15

log = logs.logger(__name__)


class Sender:
    """Sends the mails of one database. Any number of them may work on the same."""

    def __init__(
        self, database: Database, clock: Clock, renderer: Renderer, mailer: Mailer, settings: Settings
    ) -> None:
        self._database = database
        self._clock = clock
        self._renderer = renderer
        self._mailer = mailer
        self._settings = settings
        self._woken = asyncio.Event()
        self._is_open = False

    def wake(self) -> None:
        """There is something to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is due as soon as it is, until cancelled."""
        self._is_open = True
        wait_seconds = FIRST_WAIT_SECONDS
        try:
            while True:
                try:
                    is_more = await self._finished(self._send_batch())
                except MailServerAway as away:
                    metrics.SERVER_AWAY.set(1)
                    log.warning("mail_server_away", reason=str(away), wait_seconds=wait_seconds)
                    await self._clock.sleep(wait_seconds)
                    wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)
                else:
                    metrics.SERVER_AWAY.set(0)
                    wait_seconds = FIRST_WAIT_SECONDS
                    await self._rest(is_more)
        finally:
            self._mailer.close()

    async def measure(self) -> None:
        """Tell how much waits, for as long as the process lives."""
        while True:
            async with self._database.read() as reader:
                backlog = await store.backlog(reader)
            overdue = self._clock.now() - (backlog.due_at or self._clock.now())
            metrics.QUEUED.set(backlog.queued)
            metrics.LAG_SECONDS.set(max(0.0, overdue.total_seconds()))
            await self._clock.sleep(MEASURE_EVERY_SECONDS)

    async def _rest(self, is_more: bool) -> None:
        """Wait until there is something to send, or might be."""
        if is_more:
            return
        await asyncio.sleep(GATHER_SECONDS)
        await until_set(self._woken, self._settings.send_poll_seconds)
        self._woken.clear()

    async def _finished(self, batch: Coroutine[Any, Any, bool]) -> bool:
        """What comes of a batch; when cancelled meanwhile, let it end first."""
        sending = asyncio.create_task(batch)
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            self._is_open = False
            while not sending.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([sending])
            raise

    async def _send_batch(self) -> bool:
        """Send the mails that are due; tell whether there may be more. Raises MailServerAway."""
        now = self._clock.now()
        leased_until = now + timedelta(seconds=self._settings.lease_seconds)
        async with self._database.read() as reader:
            leased = await store.lease(reader, now, leased_until, at_most=SENT_TOGETHER)
        settled: list[Delivery] = []
        try:
            for pending in leased:
                if not self._is_open or self._clock.now() > now + (leased_until - now) / 2:
                    break
                settled.append(await self._send(pending))
        finally:
            if leased:
                await failpoints.reach("notifications.sent")
                left = [pending.delivery.given_back(now) for pending in leased[len(settled) :]]
                await self._settle([*settled, *left], leased_until)
        return len(leased) == SENT_TOGETHER

    async def _send(self, pending: PendingMail) -> Delivery:
        """The delivery after one attempt. Raises MailServerAway."""
        delivery = pending.delivery
        failure = await self._attempt(pending)
        now = self._clock.now()
        after = delivery.refused(failure, now) if failure else delivery.sent(now)
        metrics.TRIED.labels(after.template, after.state).inc()
        if after.state is State.SENT:
            metrics.DELAY_SECONDS.observe((now - delivery.created_at).total_seconds())
        if after.state is State.FAILED:
            log.error("delivery_failed", delivery_id=after.delivery_id, reason=after.last_reason)
        return after

    async def _attempt(self, pending: PendingMail) -> SmtpFailure | None:
        try:
            return await self._mailer.send(self._renderer.render(pending))
        except MailServerAway:
            raise
        except Exception:  # an outermost loop: one mail that cannot be written must not hold up the others
            log.exception("mail_not_made", delivery_id=pending.delivery.delivery_id)
            return SmtpFailure("INTERNAL", is_final=False)

    async def _settle(self, deliveries: list[Delivery], leased_until: datetime) -> None:
        """Store what came of a batch. While the database is away, its mails must not be sent again: keep at it."""
        while True:
            try:
                async with self._database.read() as reader:
                    return await store.settle(reader, deliveries, leased_until)
            except errors.TransientProblem:
                if self._clock.now() > leased_until:
                    raise
                await asyncio.sleep(SETTLE_AGAIN_SECONDS)
