"""Orders, what can happen to them, and why one is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.core import errors

LARGEST_TOTAL = 10_000_000_000_000


class OrderNotFound(errors.NotFound):
    """There is no such order, or it is somebody else's."""

    reason = "ORDER_NOT_FOUND"


class ProductsNotFound(errors.FailedPrecondition):
    """The catalogue does not know these products."""

    reason = "PRODUCT_NOT_FOUND"


class ProductsRetired(errors.FailedPrecondition):
    """These products are no longer sold."""

    reason = "PRODUCT_RETIRED"


class MixedCurrencies(errors.FailedPrecondition):
    """The products are not priced in one currency."""

    reason = "MIXED_CURRENCIES"


class TotalTooLarge(errors.FailedPrecondition):
    """More money than one order may cost."""

    reason = "TOTAL_TOO_LARGE"


class SkuRepeated(errors.InvalidArgument):
    """Two items name one product, in letters of different case."""

    reason = "SKU_REPEATED"


class OrderState(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the order."""
        return self is not OrderState.PENDING


class OrderStep(StrEnum):
    """What can happen to an order."""

    PLACED = "PLACED"
    STOCK_RESERVED = "STOCK_RESERVED"
    PAYMENT_AUTHORIZED = "PAYMENT_AUTHORIZED"
    PAYMENT_CAPTURED = "PAYMENT_CAPTURED"
    STOCK_COMMITTED = "STOCK_COMMITTED"
    CONFIRMED = "CONFIRMED"
    CANCELLING = "CANCELLING"
    PAYMENT_REFUNDED = "PAYMENT_REFUNDED"
    PAYMENT_VOIDED = "PAYMENT_VOIDED"
    STOCK_RELEASED = "STOCK_RELEASED"
    CANCELLED = "CANCELLED"

    @property
    def leads_to(self) -> OrderState:
        """Where an order stands once this has happened to it."""
        return _LEADS_TO.get(self, OrderState.PENDING)


_LEADS_TO = {OrderStep.CONFIRMED: OrderState.CONFIRMED, OrderStep.CANCELLED: OrderState.CANCELLED}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of its currency."""

    currency_code: str
    minor_units: int


@dataclass(frozen=True, slots=True)
class Item:
    """A product somebody wants, and how many of it."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What the catalogue says of a product."""

    sku: str
    name: str
    price: Money
    is_retired: bool


@dataclass(frozen=True, slots=True)
class OrderLine:
    """How many of one product, at what price."""

    sku: str
    name: str
    quantity: int
    unit_price: Money


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened to an order: its event. The first one brings what was ordered."""

    version: int
    step: OrderStep
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it stands after all that happened to it."""

    order_id: str
    customer_id: str
    lines: tuple[OrderLine, ...]
    total: Money
    state: OrderState = OrderState.PENDING
    cancel_reason: str = ""
    version: int = 1
    placed_at: datetime
    updated_at: datetime

    def next(self, step: OrderStep, reason: str, now: datetime) -> Progress:
        """What would happen to it next. Raises when it has ended."""
        if self.state.is_final:
            raise ValueError(f"order {self.order_id} is {self.state}: {step} cannot happen to it")
        return Progress(self.version + 1, step, reason, now)

    def after(self, progress: Progress) -> "Order":
        """The order once this has happened to it."""
        return replace(
            self,
            state=progress.step.leads_to,
            cancel_reason=progress.reason or self.cancel_reason,
            version=progress.version,
            updated_at=progress.occurred_at,
        )


def canonical(sku: str) -> str:
    """The one spelling of a SKU."""
    return sku.upper()


def wanted_items(items: Sequence[Item]) -> list[Item]:
    """The items under the one spelling of their SKUs. Raises SkuRepeated."""
    wanted = {canonical(item.sku): item.quantity for item in items}
    if len(wanted) < len(items):
        raise SkuRepeated("two items name one product", violations=(errors.Violation("items", "names a SKU twice"),))
    return [Item(sku, quantity) for sku, quantity in wanted.items()]


def price(items: Sequence[Item], offers: Mapping[str, Offer]) -> tuple[tuple[OrderLine, ...], Money]:
    """The lines of an order and what they cost in all.

    Raises ProductsNotFound, ProductsRetired, MixedCurrencies, TotalTooLarge.
    """
    if missing := [item.sku for item in items if item.sku not in offers]:
        obstacles = tuple(errors.Obstacle(ProductsNotFound.reason, sku, "is not in the catalogue") for sku in missing)
        raise ProductsNotFound("some products do not exist", obstacles=obstacles)
    if retired := [item.sku for item in items if offers[item.sku].is_retired]:
        obstacles = tuple(errors.Obstacle(ProductsRetired.reason, sku, "is no longer sold") for sku in retired)
        raise ProductsRetired("some products are no longer sold", obstacles=obstacles)
    lines = tuple(_line(offers[item.sku], item.quantity) for item in items)
    return lines, _total(lines)


def _line(offer: Offer, quantity: int) -> OrderLine:
    return OrderLine(offer.sku, offer.name, quantity, offer.price)


def _total(lines: Sequence[OrderLine]) -> Money:
    currencies = sorted({line.unit_price.currency_code for line in lines})
    if len(currencies) > 1:
        obstacles = tuple(errors.Obstacle(MixedCurrencies.reason, code, "prices some products") for code in currencies)
        raise MixedCurrencies("an order is paid in one currency", obstacles=obstacles)
    total = sum(line.quantity * line.unit_price.minor_units for line in lines)
    if total > LARGEST_TOTAL:
        raise TotalTooLarge("an order may not cost so much", largest_minor_units=str(LARGEST_TOTAL))
    return Money(currencies[0], total)


@dataclass(frozen=True, slots=True)
class Checkout:
    """What it takes to see an order through: the data of its saga."""

    order_id: str
    items: tuple[Item, ...]
    total: Money
    payment_token: str
    placed_at: datetime
