"""The keys that sign access tokens: made, sealed for the database, used and published."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from joserfc import jwt
from joserfc.jwk import ECKey

from chassis.core import ids
from chassis.core.sealing import Keyring, NotAuthentic, Sealer, UnknownKey
from chassis.core.settings import SettingsError
from chassis.rpc.tokens import ALGORITHM
from services.identity.domain import (
    ACCESS_TOKEN_LIFETIME,
    AccessToken,
    SigningKey,
    SigningKeysMissing,
    User,
)


class Seal:
    """Private keys as they lie in the database: sealed, each bound to its key's id."""

    def __init__(self, keyring: Keyring) -> None:
        self._sealer = Sealer(keyring, "tradewind signing keys")

    def close(self, key_id: str, private_jwk: bytes) -> bytes:
        """The sealed key."""
        return self._sealer.seal(private_jwk, key_id.encode())

    def open(self, key_id: str, sealed: bytes) -> bytes:
        """The private key. Raises SettingsError when it was closed with another secret."""
        try:
            return self._sealer.open(sealed, key_id.encode())
        except (UnknownKey, NotAuthentic):
            raise SettingsError("secret signing_key_secret does not open the signing keys in the database") from None


@dataclass(frozen=True, slots=True)
class _Known:
    """A key this process can sign with."""

    active_at: datetime
    jwk: ECKey


class Signer:
    """Signs with the key that is active and publishes all there are. Knows the keys it was last told."""

    def __init__(self, seal: Seal, issuer: str, audience: str) -> None:
        self._seal = seal
        self._issuer = issuer
        self._audience = audience
        self._keys: tuple[_Known, ...] = ()

    def make_key(self, created_at: datetime, active_at: datetime) -> SigningKey:
        """A key nobody has seen."""
        jwk = ECKey.generate_key("P-256", {"alg": ALGORITHM, "use": "sig"}, auto_kid=True)
        key_id = jwk.thumbprint()
        sealed = self._seal.close(key_id, json.dumps(jwk.as_dict(private=True)).encode())
        return SigningKey(key_id=key_id, sealed_jwk=sealed, created_at=created_at, active_at=active_at)

    def learn(self, keys: Sequence[SigningKey]) -> None:
        """Take these keys for all there are, but for one that was made while they were read. Raises SettingsError."""
        known = tuple(map(self._opened, keys))
        newest = max(key.active_at for key in known)
        self._keys = (*known, *(key for key in self._keys if key.active_at > newest))

    def learn_newest(self, key: SigningKey) -> None:
        """Take this key for the newest, though it may have been read already. Raises SettingsError."""
        self._keys = (*(known for known in self._keys if known.active_at < key.active_at), self._opened(key))

    def sign(self, user: User, now: datetime) -> AccessToken:
        """An access token for the user, in the form of RFC 9068. Raises SigningKeysMissing."""
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
        keys = self._keys
        if not keys:
            raise SigningKeysMissing("the signing keys are not read yet")
        return json.dumps({"keys": [key.jwk.as_dict(private=False) for key in keys]}).encode()

    def _active(self, now: datetime) -> ECKey:
        active = [key for key in self._keys if key.active_at <= now]
        if not active:
            raise SigningKeysMissing("the signing keys are not read yet")
        return max(active, key=lambda key: key.active_at).jwk

    def _opened(self, key: SigningKey) -> _Known:
        return _Known(key.active_at, ECKey.import_key(json.loads(self._seal.open(key.key_id, key.sealed_jwk))))
