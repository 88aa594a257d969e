"""The retail format: the lines a shop sold, read as the catalogue it sold them from.

Columns, comma-separated under a header: StockCode, Description, Quantity, InvoiceDate (day/month/year, with or without a
time), UnitPrice; others are not read. A line of the file is a line of the table: no cell goes on in the next. The text
is UTF-8, with or without a byte-order mark, or Latin-1.

A product is what shares a StockCode, whatever the case. It costs what its last sale says, by date and then by line, and
is called what most of its sales call it, the later name in a draw. Only good lines count: a return or a write-off (no
quantity sold), a charge with a code of its own such as POST, a note of the warehouse in the place of a name, a line
without a price are each passed over and reported, because none of them says what a product is or costs.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final


class NotRetailFormat(Exception):
    """The file as a whole cannot be read in this format."""


class Reason(StrEnum):
    """Why a line says nothing about the catalogue."""

    MALFORMED = "LINE_MALFORMED"
    CODE_MISSING = "CODE_MISSING"
    CHARGE = "CHARGE_NOT_PRODUCT"
    QUANTITY = "QUANTITY_INVALID"
    RETURN = "RETURN_OR_WRITE_OFF"
    DATE = "DATE_INVALID"
    NAME_MISSING = "NAME_MISSING"
    NOTE = "NOTE_NOT_NAME"
    PRICE_INVALID = "PRICE_INVALID"
    PRICE_MISSING = "PRICE_MISSING"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A line that was not used, and why."""

    line_number: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Product:
    """One product of the catalogue. `line_number` is that of the sale its price is from."""

    line_number: int
    sku: str
    name: str
    price: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a file offers: products and the lines passed over, both in the order of their lines."""

    products: tuple[Product, ...]
    passed_over: tuple[PassedOver, ...]


def read(path: Path) -> Catalogue:
    """Read a file. Raises NotRetailFormat, OSError."""
    header, *lines = _text(path.read_bytes()).split("\n")
    columns = _columns(path, header)
    sales: dict[str, list[_Sale]] = defaultdict(list)
    passed_over = []
    for line_number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            sale = _sale(line_number, _cells(line, columns))
        except _Unusable as unusable:
            passed_over.append(PassedOver(line_number, unusable.reason, unusable.message))
        else:
            sales[sale.sku].append(sale)
    products = sorted(map(_product, sales.values()), key=lambda product: product.line_number)
    return Catalogue(tuple(products), tuple(passed_over))


@dataclass(frozen=True, slots=True)
class _Sale:
    line_number: int
    sku: str
    name: str
    sold_at: datetime
    price: Decimal


class _Unusable(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _columns(path: Path, header: str) -> dict[str, int]:
    names = [name.strip() for name in header.split(",")]
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise NotRetailFormat(f"{path} is not in the retail format: it has no column {', '.join(missing)}")
    return {name: names.index(name) for name in _COLUMNS}


def _cells(line: str, columns: Mapping[str, int]) -> dict[str, str]:
    # A line by itself: a quote left open spoils this line and not the rest of the file.
    try:
        row = next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise _Unusable(Reason.MALFORMED, f"not comma-separated values: {error}") from error
    if len(row) <= max(columns.values()):
        raise _Unusable(Reason.MALFORMED, f"the line ends after {len(row)} columns")
    cells = {name: row[place].strip() for name, place in columns.items()}
    if any(len(cell) > _LONGEST_CELL for cell in cells.values()):
        raise _Unusable(Reason.MALFORMED, f"a column has more than {_LONGEST_CELL} characters")
    return cells


def _product(sales: Sequence[_Sale]) -> Product:
    last = max(sales, key=lambda sale: (sale.sold_at, sale.line_number))
    times_seen = Counter(sale.name for sale in sales)
    last_seen = {sale.name: sale.line_number for sale in sales}
    name = max(times_seen, key=lambda name: (times_seen[name], last_seen[name]))
    return Product(last.line_number, last.sku, name, str(last.price))


def _sale(line_number: int, cells: Mapping[str, str]) -> _Sale:
    sku = _read_sku(cells["StockCode"])
    _check_sold(cells["Quantity"])
    return _Sale(
        line_number=line_number,
        sku=sku,
        name=_read_name(cells["Description"]),
        sold_at=_read_date(cells["InvoiceDate"]),
        price=_read_price(cells["UnitPrice"]),
    )


def _read_sku(code: str) -> str:
    if not code:
        raise _Unusable(Reason.CODE_MISSING, "there is no stock code")
    if code.upper() in _CHARGES:
        raise _Unusable(Reason.CHARGE, f"{code} is a charge or a correction, not a product")
    return code.upper()


def _check_sold(quantity: str) -> None:
    if not re.fullmatch(r"-?[0-9]{1,9}", quantity):
        raise _Unusable(Reason.QUANTITY, f"{quantity!r} is not a quantity")
    if int(quantity) <= 0:
        raise _Unusable(Reason.RETURN, f"a quantity of {quantity} is a return or a write-off, not a sale")


def _read_name(description: str) -> str:
    name = " ".join(description.split())
    if not name:
        raise _Unusable(Reason.NAME_MISSING, "there is no description")
    if "?" in name or name.lower() in _NOTES:
        raise _Unusable(Reason.NOTE, f"{name!r} is a note, not the name of a product")
    return name


def _read_date(text: str) -> datetime:
    for form in ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"):
        with suppress(ValueError):
            return datetime.strptime(text, form)  # noqa: DTZ007 - the format knows no time zone
    raise _Unusable(Reason.DATE, f"{text!r} is not a date (day/month/year)")


def _read_price(text: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]{1,13}(\.[0-9]{1,9})?", text):
        raise _Unusable(Reason.PRICE_INVALID, f"{text!r} is not a price")
    price = Decimal(text)
    if price <= 0:
        raise _Unusable(Reason.PRICE_MISSING, f"a price of {text} is none")
    return price


_COLUMNS: Final = ("StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice")
_LONGEST_CELL: Final = 200

# Codes the shop books postage, fees, discounts, samples, gifts and corrections under.
_CHARGES: Final = frozenset(
    ("POST", "DOT", "C2", "D", "M", "S", "B", "BANK CHARGES", "AMAZONFEE", "CRUK", "ADJUST", "ADJUST2")
)

# What the warehouse writes where a name should be, beside anything with a question mark.
_NOTES: Final = frozenset(
    (
        *("adjustment", "amazon", "broken", "check", "counted", "crushed", "damaged", "damages", "display", "dotcom"),
        *("ebay", "faulty", "found", "lost", "mailout", "missing", "mouldy", "rusty", "sample", "samples", "smashed"),
        *("sold as set", "test", "thrown away", "unsaleable", "water damaged", "wet", "wrong code", "wrongly coded"),
    )
)
