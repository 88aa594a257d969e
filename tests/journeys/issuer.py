"""Identity's own signing key, in the hands of a test: tokens that no login would give."""

import base64
import json
import time
from typing import Any

import psycopg
from joserfc import jwt
from joserfc.jwk import ECKey

from chassis.core.sealing import Keyring
from chassis.core.settings import RuntimeSettings
from chassis.rpc.tokens import ALGORITHM
from services.identity.signing import Seal
from tools.stack.stack import Stack


class Issuer:
    """Signs with the newest key of a stack's identity, as a thief of its database and its secret could."""

    def __init__(self, stack: Stack) -> None:
        seal = Seal(Keyring.parse(stack.secret("identity", "signing_key_secret")))
        with psycopg.connect(stack.secret("identity", "database_url")) as connection:
            row = connection.execute("SELECT key_id, sealed_jwk FROM signing_key WHERE retires_at IS NULL").fetchone()
        assert row is not None
        self.key_id, sealed = row
        self._key = ECKey.import_key(json.loads(seal.open(self.key_id, sealed)))
        self._foreign_key = ECKey.generate_key("P-256", {"kid": self.key_id})

    def issue(self, user_id: str, *roles: str, key: ECKey | None = None, typ: str = "at+jwt", **claims: Any) -> str:
        """A token of a user, a customer unless other roles are given; further claims replace the usual ones."""
        now = int(time.time())
        content = {
            "iss": RuntimeSettings.token_issuer,
            "aud": RuntimeSettings.token_audience,
            "sub": user_id,
            "iat": now,
            "exp": now + 600,
            "roles": list(roles or ["customer"]),
            **claims,
        }
        header = {"alg": ALGORITHM, "typ": typ, "kid": self.key_id}
        return jwt.encode(header, content, key or self._key, algorithms=[ALGORITHM])

    def bad_tokens(self, user_id: str) -> dict[str, tuple[str, str]]:
        """Every kind of token that must be refused, by what is wrong with it, with the reason it is refused for.

        Each of them, were it believed, would speak for staff.
        """
        roles = ("customer", "staff")
        good = self.issue(user_id, *roles)
        return {
            "expired": (self.issue(user_id, *roles, exp=int(time.time()) - 60), "TOKEN_EXPIRED"),
            "forged": (self.issue(user_id, *roles, key=self._foreign_key), "TOKEN_INVALID"),
            "none algorithm": (_unsigned(good), "TOKEN_INVALID"),
            "wrong audience": (self.issue(user_id, *roles, aud="elsewhere"), "TOKEN_INVALID"),
            "wrong issuer": (self.issue(user_id, *roles, iss="https://elsewhere.example"), "TOKEN_INVALID"),
            "no access token": (self.issue(user_id, *roles, typ="JWT"), "TOKEN_INVALID"),
            "garbage": ("garbage", "TOKEN_INVALID"),
        }


def _unsigned(token: str) -> str:
    """The token's claims under a header that says they need no signature."""
    header, payload, _ = token.split(".")
    claimed = json.loads(base64.urlsafe_b64decode(header + "=="))
    unsigned = base64.urlsafe_b64encode(json.dumps({**claimed, "alg": "none"}).encode()).rstrip(b"=").decode()
    return f"{unsigned}.{payload}."
