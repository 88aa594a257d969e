"""What is kept by a key that rotates: sealed content, and codes that prove who wrote something.

A secret holds one key a line, `id:key`, the key 32 bytes in hex. The first line is the current key: whatever is new is
made with it. The others still open what was made with them. Everything that is made names its key's id, so that nothing
is tried. A line without an id is key `0`: a secret that was never rotated is one bare key.

To rotate without losing a call while old and new processes run side by side: add the new key as the second line
everywhere, then move it to the top everywhere, then, when nothing made with it is needed any more, remove the old one.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FIRST_KEY_ID: Final = "0"
LONGEST_KEY_ID: Final = 32

_FORMAT: Final = 1
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_LINE: Final = re.compile(rf"(?:(?P<id>[0-9A-Za-z_-]{{1,{LONGEST_KEY_ID}}}):)?(?P<key>[0-9A-Fa-f]{{64}})", re.ASCII)


class UnknownKey(Exception):
    """It names a key that is not in the ring: one that was removed, or that this process has not been given yet."""


class NotAuthentic(Exception):
    """It was not made with the key it names, or for another place, or was changed since."""


@dataclass(frozen=True, repr=False)
class Key:
    """A key and the id by which what it made names it."""

    key_id: str
    secret: bytes

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose (HKDF-SHA256): what serves one tells nothing of those for another."""
        return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=purpose.encode()).derive(self.secret)

    @cached_property
    def header(self) -> bytes:
        """What stands before everything it makes: the format's number, the id's length, the id."""
        name = self.key_id.encode()
        return bytes((_FORMAT, len(name))) + name


class Keyring:
    """The keys of one secret: the current one, and those that are still honoured."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        """The current one first."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the lines of a secret. Raises ValueError, which says what is wrong and shows nothing of a key."""
        matches = [_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
        found = [match for match in matches if match]
        if not found or len(found) < len(matches):
            raise ValueError("is not 32 bytes in hex: openssl rand -hex 32 makes one; several stand as lines of ID:KEY")
        keys = [Key(match["id"] or FIRST_KEY_ID, bytes.fromhex(match["key"])) for match in found]
        if len({key.key_id for key in keys}) < len(keys):
            raise ValueError("names two keys by one id")
        return cls(keys)


class Sealer:
    """Seals content with AES-256-GCM: header, nonce, ciphertext. One for each purpose."""

    def __init__(self, keyring: Keyring, purpose: str) -> None:
        self._current = keyring.keys[0]
        self._ciphers = {key.header: AESGCM(key.derive(purpose)) for key in keyring.keys}

    def seal(self, content: bytes, context: bytes) -> bytes:
        """The content, readable only where `context` is known: elsewhere it cannot be opened."""
        header, nonce = self._current.header, os.urandom(_NONCE_BYTES)
        return header + nonce + self._ciphers[header].encrypt(nonce, content, header + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """What was sealed. Raises UnknownKey, NotAuthentic."""
        header, rest = split(sealed)
        cipher = self._ciphers.get(header)
        if cipher is None:
            raise UnknownKey
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + context)
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            raise NotAuthentic from None


class Authenticator:
    """Makes and checks message authentication codes (HMAC-SHA256): header, code. One for each purpose."""

    def __init__(self, keyring: Keyring, purpose: str, *, code_bytes: int = 32) -> None:
        self._current = keyring.keys[0]
        self._keys = {key.header: key.derive(purpose) for key in keyring.keys}
        self._code_bytes = code_bytes

    def code(self, content: bytes) -> bytes:
        """Proves that this content was seen by somebody who has the current key; tells nothing of it."""
        header = self._current.header
        return header + self._digest(header, content)

    def split(self, coded: bytes) -> tuple[bytes, bytes]:
        """The code, and the content that follows it. Raises NotAuthentic for what does not begin with a code."""
        header, rest = split(coded)
        return header + rest[: self._code_bytes], rest[self._code_bytes :]

    def is_authentic(self, code: bytes, content: bytes) -> bool:
        """Whether the code is this content's. Raises UnknownKey, and NotAuthentic for what is no code."""
        header, digest = split(code)
        if header not in self._keys:
            raise UnknownKey
        return hmac.compare_digest(digest, self._digest(header, content))

    def _digest(self, header: bytes, content: bytes) -> bytes:
        return hmac.digest(self._keys[header], content, hashlib.sha256)[: self._code_bytes]


def split(made: bytes) -> tuple[bytes, bytes]:
    """The header that names the key, and what follows. Raises NotAuthentic for what has none."""
    if len(made) < 2 or made[0] != _FORMAT or len(made) < (end := 2 + made[1]):
        raise NotAuthentic
    return made[:end], made[end:]
