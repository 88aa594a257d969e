"""How a shop's sales file becomes a catalogue."""

from pathlib import Path

import pytest

from tools.importer import retail
from tools.importer.retail import NotRetailFormat, Product, Reason
from tools.paths import ROOT

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
DEMO = ROOT / "tools" / "demo" / "catalogue.csv"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the sales file lies."""
    return tmp_path / "sales.csv"


def read(file: Path, *lines: str, encoding: str = "utf-8") -> retail.Catalogue:
    """The catalogue of these lines, the first of which is line 2."""
    file.write_bytes("\r\n".join([HEADER, *lines, ""]).encode(encoding))
    return retail.read(file)


def reasons(catalogue: retail.Catalogue) -> list[tuple[int, str]]:
    """Which lines were passed over, and why."""
    return [(line.line_number, line.reason) for line in catalogue.passed_over]


def test_lines_of_one_code_are_one_product_at_its_last_price(file: Path) -> None:
    """The last by date; by line where the dates are the same. The case of the code does not matter."""
    catalogue = read(
        file,
        "1,85123a,WHITE HEART,6,3/12/2010,2.95,17850,United Kingdom",
        "2,85123A,WHITE HEART,6,3/12/2010 8:26,3.10,17850,United Kingdom",
        "3,85123A,WHITE HEART,6,30/11/2010,2.55,,France",
    )
    assert catalogue.products == (Product(3, "85123A", "WHITE HEART", "3.10"),)


def test_a_product_is_called_what_most_of_its_sales_call_it(file: Path) -> None:
    """And the later name in a draw; spaces do not make another name."""
    catalogue = read(
        file,
        "1,10,RED LAMP,1,1/12/2010,1,,",
        "2,10,RED  LAMP ,1,1/12/2010,1,,",
        "3,10,LAMP,1,1/12/2010,1,,",
        "4,20,OLD NAME,1,1/12/2010,1,,",
        "5,20,NEW NAME,1,1/12/2010,1,,",
    )
    assert [product.name for product in catalogue.products] == ["RED LAMP", "NEW NAME"]


def test_each_line_that_says_nothing_is_passed_over_with_its_reason(file: Path) -> None:
    """And spoils no other line."""
    lines = [
        (Reason.CHARGE, "1,POST,POSTAGE,3,1/12/2010,18,12583,France"),
        (Reason.CHARGE, "1,m,Manual,1,1/12/2010,5,,"),
        (Reason.CHARGE, "1,BANK CHARGES,Bank Charges,1,1/12/2010,15,,"),
        (Reason.CODE_MISSING, "1, ,LAMP,1,1/12/2010,1,,"),
        (Reason.RETURN, "C1,22556,PLASTERS,-12,1/12/2010,1.65,17548,United Kingdom"),
        (Reason.RETURN, "1,22556,PLASTERS,0,1/12/2010,1.65,,"),
        (Reason.QUANTITY, "1,22556,PLASTERS,many,1/12/2010,1.65,,"),
        (Reason.NAME_MISSING, "1,22139,,56,1/12/2010,0,,"),
        (Reason.NOTE, "1,22139,?,56,1/12/2010,0,,"),
        (Reason.NOTE, "1,22139,Damaged,56,1/12/2010,0,,"),
        (Reason.DATE, "1,22139,TEA SET,1,12/31/2010,4,,"),
        (Reason.PRICE_MISSING, "1,22139,TEA SET,1,1/12/2010,0.00,,"),
        (Reason.PRICE_INVALID, '1,22139,TEA SET,1,1/12/2010,"4,95",,'),
        (Reason.MALFORMED, '1,22139,"TEA SET,1,1/12/2010,4.95,,'),
        (Reason.MALFORMED, "1,22139,TEA SET,1"),
        (Reason.MALFORMED, f"1,22139,{'T' * 201},1,1/12/2010,4.95,,"),
    ]
    catalogue = read(file, *(line for _, line in lines), "", '1,22139,"TEA SET, BIG",1,1/12/2010,4.95,,')
    assert reasons(catalogue) == [(number, reason.value) for number, (reason, _) in enumerate(lines, start=2)]
    assert catalogue.products == (Product(len(lines) + 3, "22139", "TEA SET, BIG", "4.95"),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_the_text_may_be_utf_8_or_latin_1(file: Path, encoding: str) -> None:
    """With or without a byte-order mark."""
    catalogue = read(file, "1,10,CRÈME £1,1,1/12/2010,1,,", encoding=encoding)
    assert [product.name for product in catalogue.products] == ["CRÈME £1"]


def test_columns_may_stand_in_another_order(file: Path) -> None:
    """Only their names matter."""
    file.write_text("UnitPrice,InvoiceDate,Quantity,Description,StockCode\n1.50,1/12/2010,1,LAMP,10\n")
    assert retail.read(file).products == (Product(2, "10", "LAMP", "1.50"),)


@pytest.mark.parametrize("content", [b"", b"a,b,c\n1,2,3\n", b"\x00\xff\x00"])
def test_a_file_of_another_kind_is_refused(file: Path, content: bytes) -> None:
    """With the columns it lacks."""
    file.write_bytes(content)
    with pytest.raises(NotRetailFormat, match="no column StockCode"):
        retail.read(file)


def test_the_catalogue_of_the_demo_shows_every_kind_of_line() -> None:
    """Eighty products, and some dirt to report."""
    catalogue = retail.read(DEMO)
    assert len(catalogue.products) == 80
    assert reasons(catalogue) == [
        (11, "RETURN_OR_WRITE_OFF"),
        (23, "CHARGE_NOT_PRODUCT"),
        (39, "NAME_MISSING"),
        (54, "NOTE_NOT_NAME"),
        (68, "PRICE_MISSING"),
        (82, "CHARGE_NOT_PRODUCT"),
        (97, "RETURN_OR_WRITE_OFF"),
        (110, "QUANTITY_INVALID"),
    ]
