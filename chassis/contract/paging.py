"""Page tokens: opaque, signed, and bound to the query they continue."""

import base64
import hashlib
import json
from typing import Any

from google.protobuf.message import Message

from chassis.core import errors
from chassis.core.sealing import Authenticator, Keyring, NotAuthentic, UnknownKey

_CODE_BYTES = 16
_OWN_FIELDS = ("page_size", "page_token")


class Pages:
    """Makes and reads page tokens with one secret's keys, the same in every process of a service."""

    def __init__(self, keyring: Keyring) -> None:
        self._authenticator = Authenticator(keyring, "page tokens", code_bytes=_CODE_BYTES)

    def token(self, query: Message, cursor: dict[str, Any]) -> str:
        """The token that continues `query` (a List request) after `cursor`, the sort key of the page's last row."""
        content = json.dumps(cursor, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._authenticator.code(_bound(query, content)) + content).decode().rstrip("=")

    def cursor(self, query: Message, token: str) -> dict[str, Any] | None:
        """What `token` was made of; None for an empty one. Raises InvalidArgument PAGE_TOKEN_INVALID."""
        if not token:
            return None
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            code, content = self._authenticator.split(data)
            is_ours = self._authenticator.is_authentic(code, _bound(query, content))
        except (ValueError, NotAuthentic, UnknownKey):
            raise _invalid() from None
        if not is_ours:
            raise _invalid()
        cursor: dict[str, Any] = json.loads(content)
        return cursor


def _bound(query: Message, content: bytes) -> bytes:
    """What the code is made of: the query without its place in it, and the cursor."""
    filters = type(query)()
    filters.CopyFrom(query)
    for name in _OWN_FIELDS:
        filters.ClearField(name)
    bound = filters.DESCRIPTOR.full_name.encode() + filters.SerializeToString(deterministic=True)
    return hashlib.sha256(bound).digest() + content


def _invalid() -> errors.InvalidArgument:
    violation = errors.Violation("page_token", "is not the next_page_token of this query", "PAGE_TOKEN_INVALID")
    message = "page_token does not continue this query: send it with the same filters as the page before"
    return errors.InvalidArgument(message, reason="PAGE_TOKEN_INVALID", violations=(violation,))
