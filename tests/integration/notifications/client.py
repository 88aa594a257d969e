"""Notifications as facts, users, staff and the mail server meet it."""

import asyncio
import email
import email.policy
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from google.protobuf.message import Message

from chassis.messaging.broker import subject_of
from chassis.messaging.inbox import Inbox, ReceivedMessage
from chassis.process.runtime import Runtime, Service
from chassis.testing import ManualClock, RunningService, Tokens, running
from services.notifications.__main__ import service as wiring
from services.notifications.sender import FIRST_WAIT_SECONDS
from tests.waiting import eventually
from tools.stack.addresses import HOST, free_port
from tools.stack.mail import MailSink
from tradewind.identity.v1.user_events_pb2 import UserRegistered
from tradewind.notifications.v1 import notification_service_pb2 as pb
from tradewind.notifications.v1.delivery_pb2 import Delivery, DeliveryState
from tradewind.notifications.v1.notification_service_pb2_grpc import NotificationServiceStub
from tradewind.orders.v1.order_events_pb2 import OrderCancelled, OrderConfirmed
from tradewind.orders.v1.order_pb2 import CANCEL_REASON_OUT_OF_STOCK, CancelReason, OrderLine
from tradewind.type.v1.money_pb2 import Money

LINES = (
    OrderLine(sku="LAMP", name="A <brass> lamp", quantity=2, unit_price=Money(currency_code="GBP", minor_units=1_250)),
)
TOTAL = Money(currency_code="GBP", minor_units=2_500)


@dataclass(frozen=True)
class User:
    """Somebody with an address of their own."""

    name: str = "Zoë"
    tag: str = ""
    """`bounce` and `later` mean something to the sink."""
    user_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def address(self) -> str:
        """Where mail goes."""
        return f"{self.user_id}{'+' if self.tag else ''}{self.tag}@example.com"

    @property
    def registered(self) -> UserRegistered:
        """The fact that they have an account."""
        return UserRegistered(user_id=self.user_id, aggregate_version=1, email=self.address, display_name=self.name)

    def confirmed(self) -> OrderConfirmed:
        """The fact that an order of theirs is confirmed."""
        return OrderConfirmed(
            order_id=new_id(), aggregate_version=2, customer_id=self.user_id, lines=LINES, total=TOTAL
        )

    def cancelled(self, reason: CancelReason.ValueType = CANCEL_REASON_OUT_OF_STOCK) -> OrderCancelled:
        """The fact that an order of theirs was cancelled."""
        return OrderCancelled(
            order_id=new_id(),
            aggregate_version=2,
            customer_id=self.user_id,
            lines=LINES,
            total=TOTAL,
            cancel_reason=reason,
        )


class Mailbox:
    """A mail server that keeps what it is sent in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.sink = MailSink(folder, self.port, folder / "sink.log")

    @property
    def address(self) -> str:
        """Where the server listens."""
        return f"{HOST}:{self.port}"

    def paths(self, user: User) -> list[Path]:
        """Where the mails to a user lie, the oldest first."""
        paths = sorted(self.folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [path for path in paths if read(path)["To"] == user.address]

    async def mails(self, user: User, count: int = 1) -> list[EmailMessage]:
        """The mails to a user, once there are so many."""

        async def have_come() -> bool:
            return len(self.paths(user)) >= count

        await eventually(have_come)
        return [read(path) for path in self.paths(user)]


@contextmanager
def mailbox_in(folder: Path) -> Iterator[Mailbox]:
    """The mail server of the local stack, for the block."""
    mailbox = Mailbox(folder)
    mailbox.sink.start()
    yield mailbox
    mailbox.sink.stop()


class WatchedClock(ManualClock):
    """A clock that knows for how long somebody has slept, or still does."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Returns once the clock was moved so far."""
        self.sleeps.append(seconds)
        await super().sleep(seconds)


@dataclass
class Notifications:
    """The running service, and short words for what is asked of it."""

    service: RunningService
    wired: Service
    clock: WatchedClock

    async def waits_for_server(self, times: int = 1) -> None:
        """Return when the sender has so often found the mail server away, and waits."""

        async def waits() -> bool:
            return self.clock.sleeps.count(FIRST_WAIT_SECONDS) >= times

        await eventually(waits)

    async def hear(self, *facts: Message) -> None:
        """Let facts take effect as the consumer does, without a broker."""
        inbox = Inbox("notifications", self.service.database, self.wired.subscriptions)
        for fact in facts:
            subject, headers = envelope(fact)
            await inbox.receive(ReceivedMessage(subject, headers, fact.SerializeToString()))

    def of(self, user: User) -> NotificationServiceStub:
        """The service as a user reaches it."""
        return NotificationServiceStub(self.service.channel(token=self.service.tokens.customer(user.user_id)))

    @property
    def staff(self) -> NotificationServiceStub:
        """The service as staff reach it."""
        return NotificationServiceStub(self.service.channel(token=self.service.tokens.staff()))

    async def deliveries(self, user: User) -> list[Delivery]:
        """The deliveries to a user, the newest first."""
        return list((await self.of(user).ListDeliveries(pb.ListDeliveriesRequest())).deliveries)

    async def settled(self, user: User, state: DeliveryState.ValueType, attempts: int = 1) -> Delivery:
        """The newest delivery to a user, once it stands there after so many attempts."""

        async def is_there() -> bool:
            found = await self.deliveries(user)
            return bool(found) and (found[0].state, found[0].attempts) == (state, attempts)

        await eventually(is_there)
        return (await self.deliveries(user))[0]

    async def retry(self, delivery: Delivery) -> Delivery:
        """Have staff try a delivery again."""
        request = pb.RetryDeliveryRequest(request_id=new_id(), delivery_id=delivery.delivery_id)
        return (await self.staff.RetryDelivery(request)).delivery

    async def execute(self, statement: str, **params: Any) -> None:
        """Do something to the service's tables behind its back."""
        async with self.service.database.read() as reader:
            await reader.execute(statement, **params)  # type: ignore[arg-type]  # a constant of a test

    async def rows(self, statement: str, **params: Any) -> list[dict[str, Any]]:
        """Look into the service's tables."""
        async with self.service.database.read() as reader:
            return await reader.all(statement, **params)  # type: ignore[arg-type]  # a constant of a test


@asynccontextmanager
async def notifications_on(
    database_url: str, smtp_address: str, *, clock: WatchedClock | None = None, **settings: Any
) -> AsyncIterator[Notifications]:
    """One replica of the service, which looks at its queue often."""
    wired: list[Service] = []

    def wire(runtime: Runtime) -> Service:
        wired.append(wiring(runtime))
        return wired[0]

    clock = clock or WatchedClock()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRADEWIND_SMTP_ADDRESS", smtp_address)
        environment.setenv("TRADEWIND_SEND_POLL_SECONDS", "0.05")
        it = running(
            wire, "services.notifications", database_url=database_url, clock=clock, tokens=Tokens(), **settings
        )
        async with it as service:
            yield Notifications(service, wired[0], clock)


class Recorder:
    """A mail server's handler that notes every mail it takes."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.clients: set[tuple[str, int]] = set()
        self.verdict: Callable[[str], Awaitable[str | None]] | None = None
        """May answer a mail to an address in its place, or wait first."""
        self.verdict_on_sender = ""
        """Refuses every mail at once, unless it is empty."""
        self.hangs_up_on = ""
        """An address; it hangs up when it gets the mail."""

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Somebody wants to send."""
        self.clients.add(session.peer)
        if self.verdict_on_sender:
            return self.verdict_on_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """A mail has come."""
        [address] = envelope.rcpt_tos
        if address == self.hangs_up_on:
            server.transport.abort()
        answer = await self.verdict(address) if self.verdict else None
        if answer is None:
            self.taken.append(address)
        return answer or "250 OK"


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Recorder, str]]:
    """A mail server in this process, and its address."""
    recorder, port = Recorder(), free_port()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(partial(SMTP, recorder, loop=loop), HOST, port):
        yield recorder, f"{HOST}:{port}"


def envelope(fact: Message, event_id: str | None = None) -> tuple[str, dict[str, str]]:
    """The subject and the headers of a fact."""
    name = fact.DESCRIPTOR.full_name
    aggregate_id = fact.user_id if isinstance(fact, UserRegistered) else fact.order_id  # type: ignore[attr-defined]
    headers = {"ce-id": event_id or new_id(), "ce-type": name, "ce-time": "2026-01-01T00:00:00+00:00"}
    return subject_of(name, aggregate_id), headers


def read(path: Path) -> EmailMessage:
    """A mail as a mail program reads it."""
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def body(mail: EmailMessage, kind: str) -> str:
    """The text (`plain`) of a mail, or its `html`."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def new_id() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())
