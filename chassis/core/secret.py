"""A secret: a text that shows itself only to those who ask for it by name."""

import hmac
from typing import Final, Self

HIDDEN: Final = "Secret(…)"


class Secret:
    """A value that is read from a file. Neither `repr`, `str`, a format nor a log shows it; `reveal` alone does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, to be handed on at once to what needs it."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, format_spec: str) -> str:
        return format(HIDDEN, format_spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __deepcopy__(self, memo: object) -> Self:
        return self  # it never changes

    def __reduce__(self) -> str:
        # A pickle travels and is kept: neither is for secrets.
        raise TypeError("a Secret is not pickled")
