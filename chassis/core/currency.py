"""Currencies, as ISO 4217 lists them (list one, the currencies in use and the funds)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


def minor_digits(currency_code: str) -> int:
    """How many digits of an amount are below its major unit: of pounds two, the pence; of yen none."""
    return _MINOR_DIGITS.get(currency_code, 2)


# The currencies whose minor unit is not a hundredth.
_MINOR_DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0),
        **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
        **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
        **dict.fromkeys(("CLF", "UYW"), 4),
    }
)
