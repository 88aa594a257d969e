"""The keys that sign access tokens: made, sealed for the database, used and published."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.jwk import OKPKey

from chassis import ids
from services.identity.domain import (
    ACCESS_TOKEN_LIFETIME,
    AccessToken,
    SigningKey,
    SigningKeysMissing,
    SigningKeyUnreadable,
    User,
)

ALGORITHM: Final = "EdDSA"
_NONCE_LENGTH: Final = 12


class Seal:
    """Private keys as they lie in the database: AES-256-GCM, bound to the key's id."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tradewind signing keys").derive(secret.encode())
        self._cipher = AESGCM(derived)

    def close(self, key_id: str, private_key: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, private_key, key_id.encode())

    def open(self, key_id: str, sealed: bytes) -> bytes:
        """The private key. Raises SigningKeyUnreadable."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:], key_id.encode())
        except InvalidTag:
            raise SigningKeyUnreadable("signing_key_secret does not open the stored signing keys") from None


@dataclass(frozen=True, slots=True)
class _Known:
    """A key this process can sign with."""

    active_at: datetime
    jwk: OKPKey


class Signer:
    """Signs with the key that is active and publishes all there are. Knows the keys it was last told."""

    def __init__(self, seal: Seal, issuer: str, audience: str) -> None:
        self._seal = seal
        self._issuer = issuer
        self._audience = audience
        self._keys: tuple[_Known, ...] = ()
        self._published = b""

    def make_key(self, created_at: datetime, active_at: datetime) -> SigningKey:
        """A key nobody has seen."""
        private_key = Ed25519PrivateKey.generate()
        key_id = OKPKey.import_key(private_key.public_key()).thumbprint()
        return SigningKey(
            key_id=key_id,
            public_key=private_key.public_key().public_bytes_raw(),
            sealed_private_key=self._seal.close(key_id, private_key.private_bytes_raw()),
            created_at=created_at,
            active_at=active_at,
        )

    def learn(self, keys: Sequence[SigningKey]) -> None:
        """Take these keys for all there are. Raises SigningKeyUnreadable."""
        known = tuple(_Known(key.active_at, self._opened(key)) for key in keys)
        published = [key.jwk.as_dict(private=False) for key in known]
        self._keys, self._published = known, json.dumps({"keys": published}).encode()

    @property
    def has_keys(self) -> bool:
        """Whether it was told of any."""
        return bool(self._keys)

    def sign(self, user: User, now: datetime) -> AccessToken:
        """An access token (RFC 9068) for the user. Raises SigningKeysMissing."""
        key = self._active(now)
        issued_at = now.replace(microsecond=0)  # a JWT tells whole seconds
        expires_at = issued_at + ACCESS_TOKEN_LIFETIME
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user.user_id,
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": ids.uuid7(),
            "roles": sorted(user.roles),
        }
        header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}
        return AccessToken(jwt.encode(header, claims, key, algorithms=[ALGORITHM]), expires_at)

    def jwks(self) -> bytes:
        """The published keys (RFC 7517). May be called from any thread. Raises SigningKeysMissing."""
        if not self._published:
            raise SigningKeysMissing("the signing keys are not read yet")
        return self._published

    def _active(self, now: datetime) -> OKPKey:
        active = [key for key in self._keys if key.active_at <= now]
        if not active:
            raise SigningKeysMissing("the signing keys are not read yet")
        return max(active, key=lambda key: key.active_at).jwk

    def _opened(self, key: SigningKey) -> OKPKey:
        private_key = Ed25519PrivateKey.from_private_bytes(self._seal.open(key.key_id, key.sealed_private_key))
        return OKPKey.import_key(private_key, {"kid": key.key_id, "alg": ALGORITHM, "use": "sig"})
