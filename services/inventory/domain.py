"""Stock and the promises made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from chassis.core import errors

MOST_ON_HAND: Final = 1_000_000_000


class OutOfStock(errors.FailedPrecondition):
    """Some lines ask for more than is available: an obstacle for each such SKU, saying how much is."""

    reason = "OUT_OF_STOCK"

    def __init__(self, available: Mapping[str, int]) -> None:
        obstacles = tuple(errors.Obstacle(self.reason, sku, f"{count} available") for sku, count in available.items())
        super().__init__("there is not enough of some products", obstacles=obstacles)


class ReservationNotFound(errors.NotFound):
    """Nothing was ever reserved or released for the order."""

    reason = "RESERVATION_NOT_FOUND"


class ReservationClosed(errors.FailedPrecondition):
    """The order's reservation was released, and so can hold nothing any more."""

    reason = "RESERVATION_CLOSED"


class ReservationCommitted(errors.FailedPrecondition):
    """The stock has left the shelf, and so cannot be given back."""

    reason = "RESERVATION_COMMITTED"


def canonical(sku: str) -> str:
    """The one spelling of a SKU: letters are upper case."""
    return sku.upper()


@dataclass(frozen=True, slots=True)
class ReservationLine:
    """How many of one product."""

    sku: str
    quantity: int


class State(StrEnum):
    """Where a reservation stands."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


MAY_COME_FROM: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.HELD: frozenset({State.EXPIRED}),
        State.COMMITTED: frozenset({State.HELD, State.EXPIRED}),
        State.RELEASED: frozenset({State.HELD, State.EXPIRED}),
        State.EXPIRED: frozenset({State.HELD}),
    }
)
"""The states from which each state may be reached. Committed and released are final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Stock held for one order."""

    order_id: str
    lines: tuple[ReservationLine, ...]
    state: State
    expires_at: datetime | None
    version: int

    def moved(self, aim: State, expires_at: datetime | None) -> "Reservation":
        """The reservation once it has come to a state, with another end if there is one."""
        return replace(self, state=aim, expires_at=expires_at or self.expires_at, version=self.version + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """How much there is of one product: on the shelf, and of that promised to orders."""

    sku: str
    on_hand: int = 0
    reserved: int = 0
    version: int = 0

    @property
    def available(self) -> int:
        """How many can be sold."""
        return self.on_hand - self.reserved

    def rejection(self, delta: int) -> "RejectionReason | None":
        """Why `delta` cannot come in or go out, if it cannot."""
        if self.on_hand + delta < self.reserved:
            return RejectionReason.STOCK_BELOW_RESERVED
        if self.on_hand + delta > MOST_ON_HAND:
            return RejectionReason.STOCK_ABOVE_LIMIT
        return None

    def moved(self, quantity: int, before: State | None, aim: State) -> "Stock":
        """The stock once a line of so many has moved; its `available` is below zero where that is too much."""
        promised = quantity * ((aim is State.HELD) - (before is State.HELD))
        taken = quantity * (aim is State.COMMITTED)
        return replace(self, on_hand=self.on_hand - taken, reserved=self.reserved + promised, version=self.version + 1)

    def adjusted(self, delta: int) -> "Stock":
        """The stock once `delta` came in or went out."""
        return replace(self, on_hand=self.on_hand + delta, version=self.version + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An attempt to move a reservation to another state, and what came of it."""

    aim: State
    before: State | None
    """None: there was no reservation."""
    reservation: Reservation
    """As it is afterwards."""
    stock: tuple[Stock, ...] = ()
    """The products it changed, as they are afterwards."""
    shortages: Mapping[str, int] = field(default_factory=dict)
    """What is available of each product that falls short, by SKU."""
    depleted: tuple[Stock, ...] = ()
    """The products of which it took the last."""

    @property
    def is_change(self) -> bool:
        """Whether the reservation moved: not when it had arrived before, or must not go there."""
        return self.before is None or self.before in MAY_COME_FROM[self.aim]

    @property
    def freed(self) -> tuple[ReservationLine, ...]:
        """What is for sale again, when it was given back: nothing, if nothing was held any more."""
        return self.reservation.lines if self.before is State.HELD else ()

    def check(self) -> None:
        """Raise what stood in its way: OutOfStock, ReservationClosed, ReservationCommitted."""
        if self.shortages:
            raise OutOfStock(self.shortages)
        if self.before is State.RELEASED and self.aim is not State.RELEASED:
            raise ReservationClosed("the order's reservation was released", order_id=self.reservation.order_id)
        if self.before is State.COMMITTED and self.aim is State.RELEASED:
            raise ReservationCommitted("the order's stock has left the shelf", order_id=self.reservation.order_id)


@dataclass(frozen=True, slots=True)
class Locked:
    """A reservation and the stock of its lines, which nobody else can change meanwhile."""

    reservation: Reservation
    stock: Mapping[str, Stock]
    """By SKU; nothing of a product that was never counted."""
    is_new: bool
    """Whether it was opened, or closed, just now."""

    def move(self, aim: State, *, expires_at: datetime | None = None, wanted: Sequence[ReservationLine] = ()) -> Move:
        """Move the reservation to a state, if it may go there, and its stock with it.

        Held lines count in `reserved`, committed ones have left `on_hand`. `wanted` are the lines of a new one: those
        of products that were never counted are not among its own.
        """
        before = None if self.is_new else self.reservation.state
        if before is not None and before not in MAY_COME_FROM[aim]:
            return Move(aim=aim, before=before, reservation=self.reservation)
        lines = wanted if self.is_new else self.reservation.lines
        stock = {line.sku: self.stock.get(line.sku, Stock(sku=line.sku)) for line in lines}
        moved = {line.sku: stock[line.sku].moved(line.quantity, before, aim) for line in lines}
        return Move(
            aim=aim,
            before=before,
            reservation=self.reservation if self.is_new else self.reservation.moved(aim, expires_at),
            stock=tuple(moved.values()),
            shortages={sku: stock[sku].available for sku, after in moved.items() if after.available < 0},
            depleted=tuple(after for sku, after in moved.items() if stock[sku].available and not after.available),
        )


class RejectionReason(StrEnum):
    """Why a line of a count was not stored."""

    STOCK_BELOW_RESERVED = "STOCK_BELOW_RESERVED"
    """What is promised to orders cannot go out."""
    STOCK_ABOVE_LIMIT = "STOCK_ABOVE_LIMIT"
    """So much of one product cannot be right."""
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    """Another line was sent under the same request id before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One line of a count: how many came in, or went out."""

    request_id: str
    sku: str
    delta: int
    note: str
    adjusted_by: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one line: why it was refused, if it was, and the stock after it."""

    adjustment: Adjustment
    rejection: RejectionReason | None
    stock: Stock


class Count:
    """Lines taken one after the other from the stock as it was; a line that comes again changes nothing.

    `stock` holds every product the lines name, `receipts` those given for them before, by request id.
    """

    def __init__(self, stock: Mapping[str, Stock], receipts: Mapping[str, Receipt]) -> None:
        self.fresh: list[Receipt] = []
        self._before = stock
        self._stock = dict(stock)
        self._receipts = dict(receipts)

    @property
    def changed(self) -> list[Stock]:
        """The products of which there is another number than before."""
        return [stock for sku, stock in self._stock.items() if stock != self._before[sku]]

    @property
    def depleted(self) -> list[Stock]:
        """The products of which nothing is left to sell, where there was something."""
        return [stock for stock in self.changed if not stock.available and self._before[stock.sku].available]

    def take(self, adjustment: Adjustment) -> Receipt:
        """The answer to the next line."""
        receipt = self._receipts.get(adjustment.request_id)
        if receipt is None:
            return self._take_fresh(adjustment)
        if receipt.adjustment != adjustment:
            return Receipt(adjustment, RejectionReason.REQUEST_ID_REUSED, self._stock[adjustment.sku])
        return receipt

    def _take_fresh(self, adjustment: Adjustment) -> Receipt:
        stock = self._stock[adjustment.sku]
        rejection = stock.rejection(adjustment.delta)
        if rejection is None:
            stock = stock.adjusted(adjustment.delta)
        receipt = Receipt(adjustment, rejection, stock)
        self._stock[adjustment.sku] = stock
        self._receipts[adjustment.request_id] = receipt
        self.fresh.append(receipt)
        return receipt
