"""What users are told, how often it is tried, and what they want to be told."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from chassis.core import errors
from chassis.core.currency import minor_digits

FIRST_DELAY: Final = timedelta(seconds=2)
LONGEST_DELAY: Final = timedelta(hours=1)
# With the delays above, somebody's mailbox may be busy for about a day.
MOST_ATTEMPTS: Final = 36


class DeliveryNotFound(errors.NotFound):
    """There is no such delivery."""

    reason = "DELIVERY_NOT_FOUND"


class DeliveryNotFailed(errors.FailedPrecondition):
    """It is not failed, and so there is nothing to try again."""

    reason = "DELIVERY_NOT_FAILED"


class EtagMismatch(errors.Aborted):
    """The preferences changed since they were read."""

    reason = "ETAG_MISMATCH"


class Topic(StrEnum):
    """What a message is about."""

    ACCOUNT = "account"
    ORDERS = "orders"


class Template(StrEnum):
    """What a message is made of."""

    WELCOME = "welcome"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_CANCELLED = "order_cancelled"

    @property
    def topic(self) -> Topic:
        """What such a message is about."""
        return Topic.ACCOUNT if self is Template.WELCOME else Topic.ORDERS


class State(StrEnum):
    """Where a delivery stands."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class SmtpFailure:
    """Why a mail was not taken: for good, or for now."""

    reason: str
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one user."""

    delivery_id: str
    user_id: str
    template: Template
    state: State
    attempts: int
    last_reason: str
    due_at: datetime
    created_at: datetime
    sent_at: datetime | None

    def sent(self, now: datetime) -> "Delivery":
        """As it is once the mail server took it."""
        return replace(self, state=State.SENT, attempts=self.attempts + 1, sent_at=now)

    def refused(self, failure: SmtpFailure, now: datetime) -> "Delivery":
        """As it is after a failure: due again later each time, or failed when it was the last one."""
        is_last = failure.is_final or self.attempts + 1 >= MOST_ATTEMPTS
        return replace(
            self,
            state=State.FAILED if is_last else State.QUEUED,
            attempts=self.attempts + 1,
            last_reason=failure.reason,
            due_at=now + _delay(self.attempts),
        )

    def given_back(self, now: datetime) -> "Delivery":
        """As it is when nobody got round to trying it."""
        return replace(self, due_at=now)

    def queued_again(self, now: datetime) -> "Delivery":
        """As it is when somebody wants it tried once more. Raises DeliveryNotFailed."""
        if self.state is not State.FAILED:
            raise DeliveryNotFailed("only a failed delivery can be tried again", state=self.state.upper())
        return replace(self, state=State.QUEUED, due_at=now)


def _delay(attempts: int) -> timedelta:
    """How long to wait after one more than so many attempts."""
    return min(FIRST_DELAY * (1 << min(attempts, 16)), LONGEST_DELAY)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a user can be written to."""

    user_id: str
    email: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of its currency."""

    currency_code: str
    minor_units: int

    def __mul__(self, times: int) -> "Money":
        """So many times as much."""
        return Money(self.currency_code, self.minor_units * times)

    def __str__(self) -> str:
        """As people write it: `£1,234.50`, `12.00 CHF`."""
        amount = f"{Decimal(self.minor_units).scaleb(-minor_digits(self.currency_code)):,f}"
        symbol = _SYMBOLS.get(self.currency_code)
        return f"{symbol}{amount}" if symbol else f"{amount} {self.currency_code}"


_SYMBOLS: Final[Mapping[str, str]] = MappingProxyType({"GBP": "£", "EUR": "€", "USD": "$"})


@dataclass(frozen=True, slots=True)
class OrderLine:
    """How many of one product, and what they cost together."""

    name: str
    quantity: int
    price: Money


@dataclass(frozen=True, slots=True)
class Order:
    """What a message tells of an order."""

    order_id: str
    lines: tuple[OrderLine, ...]
    total: Money
    cancel_reason: str = ""
    """In UPPER_SNAKE; empty when it was not cancelled."""


@dataclass(frozen=True, slots=True)
class PendingMail:
    """A delivery with all that has to be known to write it."""

    delivery: Delivery
    recipient: Recipient
    order: Order | None
    """None when it is not about an order."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A pending mail in words."""

    delivery_id: str
    address: str
    subject: str
    text: str
    html: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a user wants to hear of."""

    user_id: str
    muted_topics: frozenset[Topic] = frozenset()
    version: int = 0

    @property
    def etag(self) -> str:
        """The version, as the outside sees it."""
        return str(self.version)

    def changed(self, muted_topics: frozenset[Topic], etag: str) -> "Preferences":
        """With these topics muted and no others, if they are still what `etag` says; empty says nothing.

        Raises EtagMismatch.
        """
        if etag and etag != self.etag:
            raise EtagMismatch("the preferences changed since they were read", etag=self.etag)
        return replace(self, muted_topics=muted_topics, version=self.version + 1)
