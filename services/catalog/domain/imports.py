"""Imports: reading a line as a product, and what is stored together."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from chassis.core import errors
from chassis.core.currency import minor_digits
from services.catalog.domain.products import Money, canonical

BATCH_LINES: Final = 1_000
KEPT_REJECTIONS: Final = 1_000


class ImportNotFound(errors.NotFound):
    """No line of this import was ever stored."""

    reason = "IMPORT_NOT_FOUND"


class RequestIdChanged(errors.InvalidArgument):
    """A stream of lines belongs to one import from beginning to end."""

    reason = "REQUEST_ID_CHANGED"


class LinesOutOfOrder(errors.InvalidArgument):
    """Line numbers ascend, for the last one taken is where an import resumes."""

    reason = "LINES_OUT_OF_ORDER"


class StreamEmpty(errors.InvalidArgument):
    """A stream without a line does not even say which import it means."""

    reason = "STREAM_EMPTY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportLine:
    """One line of a catalogue as it stands in its file."""

    import_id: str
    number: int
    sku: str
    name: str
    category: str
    price: str
    currency_code: str

    def check_follows(self, before: "ImportLine") -> None:
        """Refuse a line that cannot come after `before`. Raises RequestIdChanged, LinesOutOfOrder."""
        if self.import_id != before.import_id:
            raise RequestIdChanged("the request id changed within the stream", line_number=str(self.number))
        if self.number <= before.number:
            raise LinesOutOfOrder("line numbers must ascend", line_number=str(self.number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A good line: a product the catalogue shall have."""

    line_number: int
    sku: str
    name: str
    category: str
    price: Money


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was not imported, and why."""

    line_number: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """How far an import has come, over all its streams."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    last_line: int = 0
    rejections: tuple[Rejection, ...] = ()


@dataclass(slots=True)
class Batch:
    """Judged lines that are stored in one transaction, no product twice among them."""

    offers: dict[str, Offer] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    last_line: int = 0

    def has_room_for(self, line: Offer | Rejection) -> bool:
        """Whether the line may be stored together with the ones before it."""
        is_repeated = isinstance(line, Offer) and line.sku in self.offers
        return not is_repeated and len(self.offers) + len(self.rejections) < BATCH_LINES

    def add(self, line: Offer | Rejection) -> None:
        """Take the line, which comes after all the others."""
        if isinstance(line, Offer):
            self.offers[line.sku] = line
        else:
            self.rejections.append(line)
        self.last_line = line.line_number

    def after(self, line_number: int) -> "Batch":
        """The lines of the batch that come after this one."""
        return Batch(
            offers={sku: offer for sku, offer in self.offers.items() if offer.line_number > line_number},
            rejections=[rejection for rejection in self.rejections if rejection.line_number > line_number],
            last_line=self.last_line,
        )


def judge(line: ImportLine) -> Offer | Rejection:
    """Read a line as a product, or say why it is none."""
    try:
        return Offer(
            line_number=line.number,
            sku=_read_sku(line.sku),
            name=_read_name(line.name),
            category=_read_category(line.category),
            price=_read_price(line.price, _read_currency(line.currency_code)),
        )
    except _FaultyField as fault:
        return Rejection(line.number, fault.reason, fault.message)


class _FaultyField(Exception):
    """What is wrong with a field of a line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def _read_sku(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", text.strip()):
        raise _FaultyField("SKU_INVALID", "a SKU has 1 to 32 letters, digits, hyphens and underscores")
    return canonical(text.strip())


def _read_name(text: str) -> str:
    name = text.strip()
    if not name:
        raise _FaultyField("NAME_MISSING", "there is no name")
    if len(name) > 200 or re.search(r"[\x00-\x1f\x7f]", name):
        raise _FaultyField("NAME_INVALID", "a name has at most 200 characters, none of them a control character")
    return name


def _read_category(text: str) -> str:
    if len(text) > 64 or not re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", text):
        raise _FaultyField(
            "CATEGORY_INVALID", "a category has at most 64 characters: lower-case words joined by hyphens"
        )
    return text


def _read_currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        raise _FaultyField("CURRENCY_INVALID", "a currency is an ISO 4217 code in upper case, for example GBP")
    return text


def _read_price(text: str, currency_code: str) -> Money:
    if not re.fullmatch(r"-?[0-9]{1,13}(\.[0-9]{1,9})?", text.strip(), re.ASCII):
        raise _FaultyField("PRICE_INVALID", "a price is a plain decimal number, for example 2.55")
    minor_units = Decimal(text.strip()).scaleb(minor_digits(currency_code))
    if minor_units <= 0:
        raise _FaultyField("PRICE_NOT_POSITIVE", "a price is more than nothing")
    if minor_units != int(minor_units) or minor_units > _LARGEST_PRICE:
        raise _FaultyField("PRICE_INVALID", f"{currency_code} has no such price: too fine or too large")
    return Money(currency_code, int(minor_units))


_LARGEST_PRICE: Final = 10**13
