"""What becomes of a fact: one mail to each user it is told to."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.message import Message

from chassis.core.secret import Secret
from chassis.messaging.broker import Broker
from tests.conftest import Nats, NewDatabase
from tests.integration.messaging.facts import connected
from tests.integration.notifications.client import (
    Mailbox,
    Notifications,
    User,
    WatchedClock,
    body,
    envelope,
    mailbox_in,
    new_id,
    notifications_on,
    pb,
    read,
)
from tests.integration.processes import NO_KEYS
from tools.paths import ROOT
from tools.stack.addresses import HOST, free_port
from tradewind.notifications.v1.delivery_pb2 import (
    DELIVERY_STATE_QUEUED,
    DELIVERY_STATE_SENT,
    DELIVERY_STATE_SUPPRESSED,
    TEMPLATE_ORDER_CANCELLED,
    TEMPLATE_ORDER_CONFIRMED,
    TEMPLATE_WELCOME,
    TOPIC_ACCOUNT,
    TOPIC_ORDERS,
)
from tradewind.orders.v1.order_pb2 import CANCEL_REASON_PAYMENT_DECLINED

KILLED = -9


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    """A mail server: every user has an address of their own."""
    with mailbox_in(tmp_path_factory.mktemp("mail")) as mailbox:
        yield mailbox


@pytest.fixture
async def identity(nats_server: Nats) -> AsyncIterator[Broker]:
    """What identity tells facts by."""
    async with connected(nats_server, "identity") as broker:
        yield broker


@pytest.fixture
async def orders(nats_server: Nats) -> AsyncIterator[Broker]:
    """What orders tells facts by."""
    async with connected(nats_server, "orders") as broker:
        yield broker


@pytest.fixture
async def notifications(new_database: NewDatabase, nats_server: Nats, mailbox: Mailbox) -> AsyncIterator[Notifications]:
    """The service, which hears both."""
    async with notifications_on(
        new_database("notifications"),
        mailbox.address,
        nats_url=nats_server.url,
        nats_password=Secret(nats_server.password("notifications")),
    ) as running:
        yield running


async def tell(broker: Broker, fact: Message, event_id: str | None = None) -> None:
    """Publish a fact."""
    subject, headers = envelope(fact, event_id)
    await broker.store(subject, fact.SerializeToString(), headers)


async def test_each_fact_becomes_one_mail(
    notifications: Notifications, mailbox: Mailbox, identity: Broker, orders: Broker
) -> None:
    """A welcome, a confirmation, and a cancellation that says why."""
    user = User()
    await tell(identity, user.registered)
    [welcome] = await mailbox.mails(user)
    await tell(orders, user.confirmed())
    [_, confirmed] = await mailbox.mails(user, 2)
    await tell(orders, user.cancelled(CANCEL_REASON_PAYMENT_DECLINED))
    [_, _, cancelled] = await mailbox.mails(user, 3)
    assert [mail["Subject"] for mail in (welcome, confirmed, cancelled)] == [
        "Welcome to Tradewind",
        "Your order is confirmed",
        "Your order was cancelled",
    ]
    assert body(welcome, "plain").startswith("Welcome aboard, Zoë.\n")
    assert "A <brass> lamp: £25.00\n" in body(confirmed, "plain")
    assert "A &lt;brass&gt; lamp" in body(confirmed, "html")
    assert "your payment was declined" in body(cancelled, "plain")
    assert [
        (told.template, told.topic, told.state, told.attempts, told.last_reason)
        for told in await notifications.deliveries(user)
    ] == [
        (TEMPLATE_ORDER_CANCELLED, TOPIC_ORDERS, DELIVERY_STATE_SENT, 1, ""),
        (TEMPLATE_ORDER_CONFIRMED, TOPIC_ORDERS, DELIVERY_STATE_SENT, 1, ""),
        (TEMPLATE_WELCOME, TOPIC_ACCOUNT, DELIVERY_STATE_SENT, 1, ""),
    ]


async def test_a_fact_that_comes_again_is_not_told_again(
    notifications: Notifications, mailbox: Mailbox, identity: Broker
) -> None:
    """Whether the inbox knows it, or has forgotten it: then the delivery's own key does."""
    user, event_id = User(), new_id()
    await tell(identity, user.registered, event_id)
    await mailbox.mails(user)
    await tell(identity, user.registered, event_id)
    await notifications.execute("DELETE FROM inbox")
    await tell(identity, user.registered, event_id)
    await tell(identity, user.registered)  # another fact, handled after those: they are about the same user
    assert len(await mailbox.mails(user, 2)) == len(await notifications.deliveries(user)) == 2


async def test_an_order_s_mail_waits_until_its_user_is_known(
    notifications: Notifications, mailbox: Mailbox, identity: Broker, orders: Broker
) -> None:
    """Facts of two services may come in any order: none is lost, and none is told to nobody."""
    user = User()
    await tell(orders, user.confirmed())
    await notifications.settled(user, DELIVERY_STATE_QUEUED, attempts=0)
    await tell(identity, user.registered)
    assert {mail["Subject"] for mail in await mailbox.mails(user, 2)} == {
        "Welcome to Tradewind",
        "Your order is confirmed",
    }


async def test_what_a_user_has_muted_is_not_sent(
    notifications: Notifications, mailbox: Mailbox, identity: Broker, orders: Broker
) -> None:
    """It is kept as suppressed; what cannot be muted is sent."""
    user = User()
    await notifications.of(user).UpdatePreferences(
        pb.UpdatePreferencesRequest(request_id=new_id(), muted_topics=[TOPIC_ORDERS])
    )
    await tell(orders, user.cancelled())
    await notifications.settled(user, DELIVERY_STATE_SUPPRESSED, attempts=0)
    await tell(identity, user.registered)
    assert [mail["Subject"] for mail in await mailbox.mails(user)] == ["Welcome to Tradewind"]


async def test_a_process_that_dies_between_sending_and_marking_sends_the_same_mail_again(
    new_database: NewDatabase, nats_server: Nats, mailbox: Mailbox, identity: Broker, tmp_path: Path
) -> None:
    """To the last byte, its Message-ID among them, once the lease of the dead process has ended."""
    user, url = User(), new_database("notifications")
    dying = await process(url, nats_server, mailbox, tmp_path / "secrets", failpoints="notifications.sent=kill")
    await tell(identity, user.registered)
    assert await dying.wait() == KILLED
    [path] = mailbox.paths(user)
    first, first_file = path.read_bytes(), path.stat().st_ino
    later = WatchedClock()
    await later.advance((datetime.now(UTC) - later.now() + timedelta(hours=1)).total_seconds())
    async with notifications_on(url, mailbox.address, clock=later) as notifications:
        sent = await notifications.settled(user, DELIVERY_STATE_SENT)
    assert mailbox.paths(user) == [path]
    assert (path.read_bytes(), path.stat().st_ino != first_file) == (first, True)
    assert read(path)["Message-ID"] == f"<{sent.delivery_id}@tradewind.example>"


async def process(
    database_url: str, nats_server: Nats, mailbox: Mailbox, secrets: Path, *, failpoints: str
) -> asyncio.subprocess.Process:
    """A process of the service, armed to die at the fail-points."""
    write_secrets(secrets, database_url, nats_server.password("notifications"))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notifications"),
        cwd=ROOT,
        env={
            **os.environ,
            "TRADEWIND_SECRETS_DIR": str(secrets),
            "TRADEWIND_GRPC_ADDRESS": f"{HOST}:{free_port()}",
            "TRADEWIND_OPERATIONS_ADDRESS": f"{HOST}:{free_port()}",
            "TRADEWIND_JWKS_URL": NO_KEYS,
            "TRADEWIND_NATS_URL": nats_server.url,
            "TRADEWIND_SMTP_ADDRESS": mailbox.address,
            "TRADEWIND_FAILPOINTS": failpoints,
        },
        stdout=asyncio.subprocess.DEVNULL,
    )


def write_secrets(folder: Path, database_url: str, nats_password: str) -> None:
    """Give a process what it has to know."""
    folder.mkdir()
    secrets = {
        "database_url": database_url,
        "nats_password": nats_password,
        "reply_key": "00" * 32,
        "page_key": "11" * 32,
    }
    for name, secret in secrets.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secret)
