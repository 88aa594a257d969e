"""The inbox, which makes an idempotent consumer: a fact takes effect here once, however often it is delivered."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError, Message

from chassis.contract import descriptors
from chassis.core import traceparent
from chassis.database import AlreadyProcessed, Command, Database, Guard, Transaction
from chassis.database.statements import Statements
from chassis.messaging.broker import type_said_on

# Longer than any stream keeps a fact, so that none of them is new a second time.
KEPT = timedelta(days=30)
SWEEP_BATCH = 5_000
# No index takes much more than ten times as much.
LONGEST_ID = 200

SQL = Statements("chassis.messaging", "sql/inbox.sql")


@dataclass(frozen=True)
class Fact:
    """What is known of a fact besides what it says."""

    id: str
    type: str
    """The full name of its message: `tradewind.orders.v1.OrderPlaced`."""
    subject: str
    aggregate_id: str
    aggregate_version: int
    occurred_at: datetime
    """When it was written into its publisher's outbox."""
    traceparent: str

    @property
    def source(self) -> str:
        """The package it comes from: aggregate ids are unique only within one."""
        return self.type.rpartition(".")[0]


Handler: TypeAlias = Callable[[Transaction, Any, Fact], Awaitable[None]]


@dataclass(frozen=True)
class Subscription:
    """What a service does when it hears of facts.

    A handler's effect goes through the transaction it is given. With `contiguous`, each aggregate's facts are handled in
    the order of their versions, without a gap: for those who hear every fact a publisher tells.
    """

    facts: Mapping[type[Message], Handler]
    contiguous: bool = False
    attempts: int = 8
    """How often a handler may fail before the fact becomes a dead letter."""
    parks: int = 64
    """How often a fact may be delivered before the one it follows; that many take about five minutes."""


@dataclass(frozen=True)
class ReceivedMessage:
    """A fact as it was delivered."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes

    @property
    def event_id(self) -> str:
        """The fact's id; empty when the envelope lacks it, or has one too long to be kept."""
        event_id = self.headers.get("ce-id", "")
        return event_id if len(event_id) <= LONGEST_ID else ""


class Poison(Exception):
    """A message that cannot be read, today or ever."""


class Gap(Exception):
    """A fact that came before an earlier one about the same aggregate."""


class Inbox:
    """Takes facts in for one service."""

    def __init__(self, consumer: str, database: Database, subscriptions: Iterable[Subscription]) -> None:
        self._consumer = consumer
        self._database = database
        self._routes = {
            event.DESCRIPTOR.full_name: (event, handler, subscription)
            for subscription in subscriptions
            for event, handler in subscription.facts.items()
        }

    @property
    def types(self) -> frozenset[str]:
        """The facts there is a handler for."""
        return frozenset(self._routes)

    def subscription(self, received: ReceivedMessage) -> Subscription:
        """The subscription that hears it. Raises Poison when there is none."""
        _, _, subscription = self._route(received)
        return subscription

    async def receive(self, received: ReceivedMessage, *, accept_gap: bool = False) -> bool:
        """Let the fact take effect; False when it has done so before.

        Raises Poison, Gap (unless that is accepted), or what its handler raises; then nothing has happened.
        """
        event, handler, subscription = self._route(received)
        message, fact = _read(received, event)
        traceparent.carry(fact.traceparent)
        arriving = Guard(Command(SQL.arrive, {"event_id": fact.id, "consumer": self._consumer}))
        try:
            async with self._database.transaction(arriving) as tx:
                if subscription.contiguous:
                    await self._advance(tx, fact, accept_gap=accept_gap)
                await handler(tx, message, fact)
        except AlreadyProcessed:
            return False
        return True

    async def sweep(self) -> None:
        """Forget the facts that no broker keeps any more."""
        async with self._database.read() as database:
            while await database.execute(SQL.forget, age=KEPT, batch=SWEEP_BATCH) == SWEEP_BATCH:
                pass

    def _route(self, received: ReceivedMessage) -> tuple[type[Message], Handler, Subscription]:
        claimed = received.headers.get("ce-type", "")
        if claimed != type_said_on(received.subject) or claimed not in self._routes:
            raise Poison(f"no handler for a fact of type {claimed!r} under {received.subject}")
        return self._routes[claimed]

    async def _advance(self, tx: Transaction, fact: Fact, *, accept_gap: bool) -> None:
        progress = {
            "consumer": self._consumer,
            "source": fact.source,
            "aggregate_id": fact.aggregate_id,
            "version": fact.aggregate_version,
        }
        if accept_gap:
            await tx.execute(SQL.skip_to, **progress)
        elif await tx.first(SQL.advance, **progress) is None:
            raise Gap(f"version {fact.aggregate_version} of {fact.aggregate_id} came before the one it follows")


def _read(received: ReceivedMessage, event: type[Message]) -> tuple[Message, Fact]:
    if not received.event_id:
        raise Poison(f"a {event.DESCRIPTOR.full_name} without an id to know it by")
    try:
        message = event.FromString(received.payload)
        occurred_at = datetime.fromisoformat(received.headers["ce-time"])
    except (DecodeError, KeyError, ValueError) as error:
        raise Poison(f"not a readable {event.DESCRIPTOR.full_name}: {error!r}") from error
    return message, Fact(
        id=received.event_id,
        type=event.DESCRIPTOR.full_name,
        subject=received.subject,
        aggregate_id=getattr(message, descriptors.aggregate_id_field(event.DESCRIPTOR)),
        aggregate_version=message.aggregate_version,  # type: ignore[attr-defined]  # the contract tests see to it
        occurred_at=occurred_at,
        traceparent=received.headers.get("traceparent", ""),
    )
