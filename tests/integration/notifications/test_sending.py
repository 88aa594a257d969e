"""What becomes of a queued mail, whatever the mail server does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.notifications import store
from services.notifications.domain import MOST_ATTEMPTS, PendingMail
from services.notifications.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.notifications.client import Mailbox, Notifications, User, mailbox_in, notifications_on, recording
from tests.waiting import eventually
from tools.stack.addresses import HOST
from tradewind.notifications.v1.delivery_pb2 import (
    DELIVERY_STATE_FAILED,
    DELIVERY_STATE_QUEUED,
    DELIVERY_STATE_SENT,
)

NOWHERE = f"{HOST}:1"


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    """A mail server: every user has an address of their own."""
    with mailbox_in(tmp_path_factory.mktemp("mail")) as mailbox:
        yield mailbox


@pytest.fixture
async def notifications(new_database: NewDatabase, mailbox: Mailbox) -> AsyncIterator[Notifications]:
    """The service."""
    async with notifications_on(new_database("notifications"), mailbox.address) as running:
        yield running


async def test_mails_wait_for_a_mail_server_that_is_away(new_database: NewDatabase, tmp_path: Path) -> None:
    """They lose no attempt by it, and go out when it is back."""
    users = [User() for _ in range(3)]
    mailbox = Mailbox(tmp_path)
    async with notifications_on(new_database("notifications"), mailbox.address) as notifications:
        await notifications.hear(*[user.registered for user in users])
        await notifications.waits_for_server()
        mailbox.sink.start()
        await notifications.clock.advance(60)
        for user in users:
            await notifications.settled(user, DELIVERY_STATE_SENT)
        mailbox.sink.stop()
        await notifications.hear(users[0].confirmed())
        await notifications.waits_for_server(2)
        mailbox.sink.start()
        await notifications.clock.advance(60)
        await notifications.settled(users[0], DELIVERY_STATE_SENT)
    mailbox.sink.stop()
    assert [len(mailbox.paths(user)) for user in users] == [2, 1, 1]


async def test_a_busy_mailbox_is_tried_again_later(notifications: Notifications, mailbox: Mailbox) -> None:
    """After a while, and not before."""
    user = User(tag="later")
    await notifications.hear(user.registered)
    busy = await notifications.settled(user, DELIVERY_STATE_QUEUED)
    assert busy.last_reason == "SMTP_451"
    await notifications.clock.advance(2)
    sent = await notifications.settled(user, DELIVERY_STATE_SENT, attempts=2)
    assert sent.send_time.ToDatetime() - sent.create_time.ToDatetime() == timedelta(seconds=2)
    assert len(mailbox.paths(user)) == 1


async def test_a_mailbox_that_stays_busy_is_given_up(notifications: Notifications) -> None:
    """After as many attempts as there are in about a day."""
    user = User(tag="later")
    await notifications.hear(user.confirmed())
    await notifications.execute("UPDATE delivery SET attempts = %(so_far)s", so_far=MOST_ATTEMPTS - 1)
    await notifications.execute(
        "INSERT INTO recipient VALUES (%(id)s, %(address)s, 'Zoë')", id=user.user_id, address=user.address
    )
    failed = await notifications.settled(user, DELIVERY_STATE_FAILED, attempts=MOST_ATTEMPTS)
    assert failed.last_reason == "SMTP_451"


async def test_a_mailbox_that_is_not_there_fails_at_once_and_staff_can_try_again(
    notifications: Notifications, mailbox: Mailbox, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log names the delivery and the reason, never the address."""
    user = User(tag="bounce")
    await notifications.hear(user.registered)
    failed = await notifications.settled(user, DELIVERY_STATE_FAILED)
    assert failed.last_reason == "SMTP_550"
    logged = capfd.readouterr().out
    assert failed.delivery_id in logged
    assert "@" not in logged
    assert (await notifications.retry(failed)).state == DELIVERY_STATE_QUEUED
    await notifications.settled(user, DELIVERY_STATE_FAILED, attempts=2)
    moved = User(user_id=user.user_id)
    await notifications.execute(
        "UPDATE recipient SET email = %(to)s WHERE user_id = %(id)s", to=moved.address, id=user.user_id
    )
    await notifications.retry(failed)
    await notifications.settled(user, DELIVERY_STATE_SENT, attempts=3)
    assert len(await mailbox.mails(moved)) == 1


async def test_all_mails_take_one_connection(new_database: NewDatabase) -> None:
    """It is made once, and made again when it is lost."""
    async with (
        recording() as (server, address),
        notifications_on(new_database("notifications"), address) as notifications,
    ):
        users = [User() for _ in range(20)]
        await notifications.hear(*[user.registered for user in users])
        for user in users:
            await notifications.settled(user, DELIVERY_STATE_SENT)
        assert sorted(server.taken) == sorted(user.address for user in users)
        assert len(server.clients) == 1


async def test_a_connection_lost_in_the_middle_of_a_mail_costs_that_mail_an_attempt(
    new_database: NewDatabase,
) -> None:
    """The others go on over a new one."""
    unlucky, lucky = User(), User()
    async with (
        recording() as (server, address),
        notifications_on(new_database("notifications"), address) as notifications,
    ):
        server.hangs_up_on = unlucky.address
        await notifications.hear(unlucky.registered, lucky.registered)
        await notifications.settled(lucky, DELIVERY_STATE_SENT)
        delivery = await notifications.settled(unlucky, DELIVERY_STATE_QUEUED)
        assert delivery.last_reason == "CONNECTION_LOST"
        server.hangs_up_on = ""
        await notifications.clock.advance(2)
        await notifications.settled(unlucky, DELIVERY_STATE_SENT, attempts=2)
        assert len(server.clients) == 2


async def test_a_process_that_stops_finishes_its_mail_and_hands_back_the_others(new_database: NewDatabase) -> None:
    """Nothing is sent twice because of a deployment, and nothing waits for a lease to end."""
    url, users = new_database("notifications"), [User() for _ in range(5)]
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_address: str) -> None:
        entered.set()
        await go_on.wait()

    async with recording() as (server, address):
        server.verdict = slowly
        async with notifications_on(url, NOWHERE) as notifications:
            await notifications.hear(*[user.registered for user in users])
            clock = notifications.clock
        async with notifications_on(url, address, clock=clock) as stopping:
            await entered.wait()
            drained = asyncio.create_task(stopping.service.stop())
            await still_running(drained)
            go_on.set()
            await drained
        assert len(server.taken) == 1
        async with notifications_on(url, address, clock=clock) as notifications:
            for user in users:
                await notifications.settled(user, DELIVERY_STATE_SENT)
        assert sorted(server.taken) == sorted(user.address for user in users)


async def still_running(task: asyncio.Task[None]) -> None:
    """Return a moment later, when the task has not ended meanwhile."""
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done


async def test_senders_at_the_same_time_lease_different_mails(new_database: NewDatabase) -> None:
    """None waits for another."""
    users = [User() for _ in range(60)]
    async with notifications_on(new_database("notifications"), NOWHERE) as notifications:
        await notifications.hear(*[user.registered for user in users])
        await notifications.waits_for_server()
        now = notifications.clock.now()
        until = now + timedelta(seconds=60)

        all_have_leased = asyncio.Barrier(3)

        async def lease() -> list[PendingMail]:
            async with notifications.service.database.transaction() as tx:
                pending = await store.lease(tx, now, until, at_most=20)
                await all_have_leased.wait()
                return pending

        leased = [pending for pending in await asyncio.gather(lease(), lease(), lease()) for pending in pending]
    assert sorted(pending.recipient.user_id for pending in leased) == sorted(user.user_id for user in users)


@pytest.mark.parametrize("verdict", ["550 5.7.1 not from you", "421 4.7.0 too much from you", "451 4.3.0 no disk"])
async def test_a_server_that_takes_no_mail_from_us_fails_none(verdict: str, new_database: NewDatabase) -> None:
    """A wrong setting, or a bad day, is nobody's bounce: the mails wait, and nobody hammers."""
    users = [User() for _ in range(3)]
    async with recording() as (server, address):
        server.verdict_on_sender = verdict
        async with notifications_on(new_database("notifications"), address) as notifications:
            await notifications.hear(*[user.registered for user in users])
            await notifications.waits_for_server()
            assert len(server.clients) == 1
            server.verdict_on_sender = ""
            await notifications.clock.advance(60)
            for user in users:
                await notifications.settled(user, DELIVERY_STATE_SENT)


async def test_a_letter_that_cannot_be_written_does_not_hold_up_the_others(notifications: Notifications) -> None:
    """It is tried again, in case the template is mended."""
    broken, user = User(), User()
    await notifications.hear(broken.confirmed())
    await notifications.execute('UPDATE delivery SET order_told = order_told || \'{"total": ["GBP", "x"]}\'')
    await notifications.hear(broken.registered, user.registered)
    await notifications.settled(user, DELIVERY_STATE_SENT)
    [_, confirmation] = await notifications.deliveries(broken)
    assert (confirmation.state, confirmation.last_reason) == (DELIVERY_STATE_QUEUED, "INTERNAL")


async def test_a_sender_that_overslept_its_lease_marks_nothing(new_database: NewDatabase) -> None:
    """The mail is the affair of whoever has leased it since."""
    url, user, other = new_database("notifications"), User(), User()
    attempts, go_on = asyncio.Queue[int](), [asyncio.Event(), asyncio.Event()]

    async def refuse_the_first(address: str) -> str | None:
        if address == other.address:
            return None
        attempt = attempts.qsize()
        attempts.put_nowait(attempt)
        await go_on[attempt].wait()
        return "554 no" if attempt == 0 else None

    async with recording() as (server, address), notifications_on(url, address) as sleeper:
        server.verdict = refuse_the_first
        await sleeper.hear(user.registered)
        await eventually(lambda: has_begun(attempts, 1))
        await sleeper.clock.advance(Settings.lease_seconds)
        async with notifications_on(url, address, clock=sleeper.clock) as successor:
            await eventually(lambda: has_begun(attempts, 2))
            go_on[0].set()
            await sleeper.hear(other.registered)
            await sleeper.settled(other, DELIVERY_STATE_SENT)  # so the sleeper is done with the first one
            await sleeper.settled(user, DELIVERY_STATE_QUEUED, attempts=0)
            go_on[1].set()
            await successor.settled(user, DELIVERY_STATE_SENT)


async def has_begun(attempts: asyncio.Queue[int], count: int) -> bool:
    """Whether a mail was handed over so often."""
    return attempts.qsize() == count


async def test_what_was_over_long_ago_is_forgotten(notifications: Notifications) -> None:
    """What is still queued is not."""
    told, waiting = User(), User()
    await notifications.hear(told.registered, waiting.confirmed())
    await notifications.settled(told, DELIVERY_STATE_SENT)
    await notifications.clock.advance(timedelta(days=91).total_seconds())

    async def only_the_other_is_left() -> bool:
        return [row["user_id"] for row in await notifications.rows("SELECT user_id FROM delivery")] == [waiting.user_id]

    await eventually(only_the_other_is_left)
