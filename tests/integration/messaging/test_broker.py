"""Who may say and hear what, and what the broker is made to hold."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from chassis.contract.manifest import Manifest
from chassis.messaging import broker
from chassis.messaging.broker import Broker, inbox_of, permissions, subject_of
from tests.conftest import Nats
from tests.integration.messaging.facts import CONFIRMED, LISTENER, PLACED, TELLER
from tests.waiting import eventually

SILENT = Manifest("silent", "tests", "Says and hears nothing.", 3)


class Guest:
    """A connection of somebody who tries what he may not."""

    def __init__(self, client: Client, refusals: list[str]) -> None:
        self.client = client
        self.refusals = refusals

    async def is_refused(self) -> bool:
        """Whether the broker has complained."""
        return bool(self.refusals)


@pytest.fixture
async def broker_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """A NATS server with three services."""
    server = Nats(tmp_path / "nats", [TELLER, LISTENER, SILENT])
    await server.start()
    yield server
    await server.stop()


async def guest(broker_server: Nats, service: str) -> Guest:
    """Log in with a service's account, past all that the chassis would keep it from."""
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    client = await nats.connect(
        broker_server.url,
        user=service,
        password=broker_server.password(service),
        inbox_prefix=inbox_of(service),
        error_cb=note,
    )
    return Guest(client, refusals)


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("listener", subject_of(PLACED, "order-1")),
        ("orders", "tradewind.payments.v1.PaymentCaptured.1"),
        ("orders", "$JS.API.CONSUMER.MSG.NEXT.ORDERS.listener"),
        ("orders", "$JS.API.STREAM.PURGE.ORDERS"),
        ("listener", "$JS.API.CONSUMER.DURABLE.CREATE.ORDERS.other"),
        ("listener", "$JS.API.STREAM.MSG.GET.ORDERS"),
        ("silent", "anything"),
    ],
)
async def test_nobody_says_what_the_manifest_does_not_name(service: str, subject: str, broker_server: Nats) -> None:
    """Neither another's facts nor anything that would change or empty a stream."""
    intruder = await guest(broker_server, service)
    await intruder.client.publish(subject, b"")
    await eventually(intruder.is_refused)
    assert "permissions violation for publish" in intruder.refusals[0].lower()
    await intruder.client.close()


@pytest.mark.parametrize("subject", ["tradewind.>", "_INBOX.orders.>", "$JS.>"])
async def test_nobody_hears_past_his_own_inbox(subject: str, broker_server: Nats) -> None:
    """Facts come through a consumer that was made for them."""
    intruder = await guest(broker_server, "listener")
    await intruder.client.subscribe(subject)
    await eventually(intruder.is_refused)
    assert "permissions violation for subscription" in intruder.refusals[0].lower()
    await intruder.client.close()


async def test_nobody_gets_in_with_another_s_password(broker_server: Nats) -> None:
    """The account is the identity; the connection is tried again and again, for the password may yet be mended."""
    impostor = Broker(broker_server.url, "orders", "wrong")
    impostor.open()

    async def is_turned_away() -> bool:
        return "Authorization" in impostor._last_error

    await eventually(is_turned_away)
    assert not await impostor.is_connected()
    await impostor.close()


async def test_streams_and_consumers_follow_the_manifests(broker_server: Nats) -> None:
    """Provisioning again changes what has changed and keeps what is stored."""
    await with_fact(broker_server)
    await broker.provision(broker_server.admin_url, [TELLER, replace(LISTENER, consumes=frozenset({CONFIRMED}))])
    client = await nats.connect(broker_server.admin_url)
    consumer = await client.jetstream().consumer_info("ORDERS", "listener")
    stream = await client.jetstream().stream_info("ORDERS")
    await client.close()
    assert consumer.config.filter_subjects in (None, [f"{CONFIRMED}.*"])
    assert consumer.config.filter_subject in (None, f"{CONFIRMED}.*")
    assert stream.state.messages == 1


def test_an_id_cannot_change_the_shape_of_a_subject() -> None:
    """Whatever a shop calls its products."""
    assert subject_of(PLACED, "a.b *>\r\nü/1") == f"{PLACED}.a%2Eb%20%2A%3E%0D%0A%C3%BC%2F1"


def test_a_service_that_says_nothing_may_say_nothing() -> None:
    """NATS takes an empty list for a permission to do everything."""
    assert permissions(SILENT)["publish"] == {"deny": [">"]}


async def with_fact(broker_server: Nats) -> None:
    """Store a fact."""
    client = await nats.connect(broker_server.admin_url)
    await client.jetstream().publish(subject_of(PLACED, "order-1"), b"")
    await client.close()
