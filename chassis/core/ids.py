"""Ids: UUIDv7 (RFC 9562) for new things, UUIDv5 for ids that must come out the same each time."""

import os
import time
import uuid

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "tradewind.dev")


def uuid7() -> str:
    """A new id that sorts by the millisecond it was made in."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    high = milliseconds << 16 | 0x7000 | random >> 68
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    return str(uuid.UUID(int=high << 64 | low))


def derived(*parts: str) -> str:
    """The id that always belongs to these parts: a retried step sends the request id it sent before."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def canonical(uuid_text: str) -> str:
    """The one spelling of a UUID, to be compared as text: letters are lower case. Callers may write them either way."""
    return uuid_text.lower()
