"""Access tokens (JWT, RFC 9068), checked here and now against the issuer's published keys (JWKS).

RFC 8725: one fixed algorithm, `typ` at+jwt, `iss`, `aud` and `exp` required; keys a token brings along are ignored.
"""

import asyncio
import json
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, KeySet

from chassis.core import errors, logs
from chassis.rpc.call import Principal

ALGORITHM = "ES256"
FETCH_SECONDS = 2.0
_CACHE_SIZE = 10_000
# Also how long a token that was verified is not verified again: its key may be withdrawn before its end.
_REFRESH_SECONDS = 300.0
# An unknown key id makes us fetch at once, but a flood of forged ones must not become a flood of fetches.
_MIN_REFRESH_SECONDS = 2.0
# A token may be used at once, also where the clock is a little behind the issuer's. Its end is kept to the second.
_CLOCK_SKEW_SECONDS = 5

log = logs.logger(__name__)

Fetch = Callable[[], Awaitable[bytes]]


def http_fetch(url: str) -> Fetch:
    """Fetches a key set over HTTP. Raises OSError, TimeoutError after two seconds, HTTPException."""

    def get() -> bytes:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as response:  # noqa: S310 — the URL is a setting, not input
            body: bytes = response.read(1_000_000)
            return body

    async def fetch() -> bytes:
        # The timeout of urllib is for each time it waits, and for a name to be resolved there is none.
        async with asyncio.timeout(FETCH_SECONDS):
            return await asyncio.to_thread(get)

    return fetch


class PublishedKeys:
    """The issuer's current keys. Fetched when first needed, every five minutes, and when a token names an unknown one."""

    def __init__(self, fetch: Fetch, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._keys: dict[str, ECKey] = {}
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> ECKey | None:
        """The key of that id, or None when the issuer publishes no such key. Raises Unavailable when there are none at all."""
        age = self._now() - self._fetched_at
        if key_id in self._keys:
            if age > _REFRESH_SECONDS:
                self._refreshing()  # which nobody has to wait for
        elif age > _MIN_REFRESH_SECONDS:
            # Shielded: it goes on when one of those who wait has no more time, or each would begin another.
            await asyncio.shield(self._refreshing())
        if not self._keys:
            raise errors.Unavailable("the keys that sign access tokens cannot be fetched", reason="KEYS_UNAVAILABLE")
        return self._keys.get(key_id)

    def _refreshing(self) -> asyncio.Task[None]:
        """One fetch for all who need one."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        try:
            found = KeySet.import_key_set(json.loads(await self._fetch()))
        except Exception as error:  # noqa: BLE001 — a task of its own; and there is no end to what may come instead of keys
            # The keys we have stay good; whoever needs another one is told.
            log.warning("keys_not_fetched", error=repr(error))
            self._fetched_at = self._now() if self._keys else float("-inf")
            return
        self._keys = {key.kid: key for key in found.keys if isinstance(key, ECKey) and key.kid}
        self._fetched_at = self._now()


@dataclass(frozen=True)
class _Verified:
    principal: Principal
    expires_at: float
    verified_at: float


class TokenVerifier:
    """Turns a bearer token into a Principal. Remembers what it has verified: a signature check costs more than a call."""

    def __init__(self, keys: PublishedKeys, issuer: str, audience: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._now = now
        self._verified: OrderedDict[str, _Verified] = OrderedDict()
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=_CLOCK_SKEW_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def verify(self, token: str) -> Principal:
        """The user the token speaks for. Raises Unauthenticated TOKEN_EXPIRED or TOKEN_INVALID."""
        known = self._verified.get(token)
        if known is None or self._now() - known.verified_at > _REFRESH_SECONDS:
            known = await self._verify(token)
            self._verified[token] = known
            if len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        if known.expires_at <= self._now():
            raise _expired()
        return known.principal

    async def _verify(self, token: str) -> _Verified:
        try:
            key = await self._keys.find(_key_id(token))
            if key is None:
                raise _invalid("it was signed with a key the issuer does not publish")
            decoded = jwt.decode(token, key, algorithms=[ALGORITHM])
            self._claims.validate(decoded.claims)
        except ExpiredTokenError:
            raise _expired() from None
        except (JoseError, ValueError, TypeError) as error:  # TypeError: a header's `crit` that is no list
            raise _invalid(type(error).__name__) from None
        if decoded.header.get("typ") != "at+jwt":
            raise _invalid("it is not an access token")
        return _verified(decoded.claims, self._now())


def _verified(claims: dict[str, Any], now: float) -> _Verified:
    subject, roles, expires_at = claims["sub"], claims.get("roles", []), claims["exp"]
    if not isinstance(subject, str) or not isinstance(roles, list):
        raise _invalid("its claims have the wrong types")
    return _Verified(Principal(subject, frozenset(map(str, roles))), float(expires_at), now)


def _key_id(token: str) -> str:
    key_id = jws.extract_compact(token.encode()).headers().get("kid")
    if not isinstance(key_id, str):
        raise _invalid("it names no key")
    return key_id


def _expired() -> errors.Unauthenticated:
    return errors.Unauthenticated("the access token has expired: refresh it", reason="TOKEN_EXPIRED")


def _invalid(why: str) -> errors.Unauthenticated:
    return errors.Unauthenticated(f"the access token is not valid: {why}", reason="TOKEN_INVALID")
