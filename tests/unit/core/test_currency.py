"""An amount is the same amount in a shop's file and in a mail."""

import pytest

from services.catalog.domain.imports import ImportLine, Offer, judge
from services.notifications.domain import Money


@pytest.mark.parametrize(
    ("currency_code", "written"),
    [
        *((code, f"5,000 {code}") for code in ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF")),
        *((code, f"5,000 {code}") for code in ("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")),
        *((code, f"5,000.00 {code}") for code in ("CHF", "MGA", "MRU", "XXX")),
        *((code, f"5,000.000 {code}") for code in ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")),
        *((code, f"5,000.0000 {code}") for code in ("CLF", "UYW")),
    ],
)
def test_a_price_is_written_in_mails_as_it_was_read_from_the_file(currency_code: str, written: str) -> None:
    """With as many digits after the point as the currency has."""
    line = ImportLine(
        import_id="i", number=1, sku="LAMP-1", name="Lamp", category="", price="5000", currency_code=currency_code
    )
    offer = judge(line)
    assert isinstance(offer, Offer)
    assert str(Money(offer.price.currency_code, offer.price.minor_units)) == written
