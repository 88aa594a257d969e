"""Access tokens as identity would issue them, and as it never would."""

import json
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from chassis.core.settings import RuntimeSettings
from chassis.rpc.tokens import ALGORITHM


class Tokens:
    """An issuer with a key of its own. `fetch` is what services fetch its keys with."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", {"kid": "test"})
        self._foreign_key = ECKey.generate_key("P-256", {"kid": "test"})

    async def fetch(self) -> bytes:
        """The published key set."""
        return json.dumps(KeySet([self.key]).as_dict(private=False)).encode()

    def customer(self, user_id: str) -> str:
        """A valid token of a customer."""
        return self.issue(sub=user_id)

    def staff(self, user_id: str = "00000000-0000-7000-8000-00000000057a") -> str:
        """A valid token of somebody who runs the shop."""
        return self.issue(sub=user_id, roles=["customer", "staff"])

    def expired(self, user_id: str) -> str:
        """A token that ended a minute ago."""
        return self.issue(sub=user_id, exp=int(time.time()) - 60)

    def forged(self, user_id: str) -> str:
        """A token with the right key id, signed with another key."""
        return self.issue(key=self._foreign_key, sub=user_id, roles=["customer", "staff"])

    def wrong_audience(self, user_id: str) -> str:
        """A token for somebody else's service."""
        return self.issue(sub=user_id, aud="elsewhere")

    def issue(self, *, key: ECKey | None = None, typ: str = "at+jwt", **claims: Any) -> str:
        """A token with these claims; valid ones fill up what is not given."""
        now = int(time.time())
        content = {
            "iss": RuntimeSettings.token_issuer,
            "aud": RuntimeSettings.token_audience,
            "iat": now,
            "exp": now + 600,
            "roles": ["customer"],
            **claims,
        }
        return jwt.encode(
            {"alg": ALGORITHM, "typ": typ, "kid": "test"}, content, key or self.key, algorithms=[ALGORITHM]
        )
