"""Users, their sessions, the rate of their attempts and the life of a signing key."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final

from chassis.core import errors

ACCESS_TOKEN_LIFETIME: Final = timedelta(minutes=10)
REFRESH_TOKEN_LIFETIME: Final = timedelta(days=30)

FEWEST_CHARACTERS: Final = 5

ATTEMPTS_AT_ONCE: Final = 10
ATTEMPT_SETTLES_AFTER: Final = timedelta(minutes=1)
"""The rate of attempts to log in under one e-mail address: so many at once, and then one each time one has settled.

They are counted by the e-mail address alone, whoever makes them, so that somebody with many hosts cannot guess on from
the next one; how much one client may try, the edge limits besides. The cost, taken knowingly: whoever knows somebody's
e-mail address can keep them from logging in, the right password included, with one wrong guess a minute. Sessions that
are open are not touched: they stay open, and are refreshed without an attempt.
"""

# A new key signs when every replica has read it and every verifier's copy of the published keys has aged out.
PUBLISHED_BEFORE_SIGNING: Final = timedelta(minutes=15)
# For clocks that differ, and for the replica that is the last to hear of the new key.
RETIRED_AFTER_LAST_TOKEN: Final = timedelta(minutes=5)


class EmailTaken(errors.AlreadyExists):
    """There is an account under this address."""

    reason = "EMAIL_TAKEN"


class PasswordTooCommon(errors.InvalidArgument):
    """The password is one of the first that anybody would try."""

    reason = "PASSWORD_TOO_COMMON"


class CredentialsRefused(errors.Unauthenticated):
    """The address, the password or both are wrong; which one is not told."""

    reason = "CREDENTIALS_REFUSED"


class LoginLocked(errors.ResourceExhausted):
    """Too many attempts under one address."""

    reason = "LOGIN_LOCKED"


class RefreshTokenRefused(errors.Unauthenticated):
    """The token belongs to no session that is open."""

    reason = "REFRESH_TOKEN_REFUSED"


class RefreshTokenReused(errors.Unauthenticated):
    """The token was used up before: somebody stole it or its successor. The session has ended."""

    reason = "REFRESH_TOKEN_REUSED"
    keeps_effect = True


class UserNotFound(errors.NotFound):
    """Nobody has this id."""

    reason = "USER_NOT_FOUND"


class EtagMismatch(errors.Aborted):
    """The profile changed since it was read."""

    reason = "ETAG_MISMATCH"


class LastStaff(errors.FailedPrecondition):
    """Nobody would be left to run the shop."""

    reason = "LAST_STAFF"


class RotationPending(errors.FailedPrecondition):
    """The newest key does not sign yet."""

    reason = "ROTATION_PENDING"


class HashingBusy(errors.ResourceExhausted):
    """More passwords wait to be hashed than could be within anybody's deadline."""

    reason = "HASHING_BUSY"


class SigningKeysMissing(errors.Unavailable):
    """This process has not read the keys yet."""

    reason = "SIGNING_KEYS_MISSING"


class Role(StrEnum):
    """What a user may do."""

    CUSTOMER = "customer"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person with an account. `email` is in lower case."""

    user_id: str
    email: str
    display_name: str
    roles: frozenset[Role]
    registered_at: datetime
    version: int = 1

    @property
    def etag(self) -> str:
        """The version, as the outside sees it."""
        return str(self.version)

    def check_etag(self, etag: str) -> None:
        """Refuse a change that is based on another version; empty matches any. Raises EtagMismatch."""
        if etag and etag != self.etag:
            raise EtagMismatch("the profile changed since it was read", etag=self.etag)

    def renamed(self, display_name: str) -> "User":
        """The user under another name."""
        return replace(self, display_name=display_name, version=self.version + 1)

    def with_roles(self, roles: frozenset[Role]) -> "User":
        """The user with these roles and no others."""
        return replace(self, roles=roles, version=self.version + 1)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the hash of their password."""

    user: User
    password_hash: str


def normalized(email: str) -> str:
    """The form in which an address is kept, compared and counted."""
    return email.lower()


def check_password(password: str, email: str, common_words: frozenset[str]) -> None:
    """Refuse what anybody would try first: a common word or the address's, however decorated; digits; few characters."""
    word = _bare(password)
    own_word = _bare(email.partition("@")[0])
    if (word and word in common_words | {own_word}) or password.isdigit() or len(set(password)) < FEWEST_CHARACTERS:
        violation = errors.Violation("password", "must not be a common password")
        raise PasswordTooCommon("the password is too common", violations=(violation,))


def _bare(password: str) -> str:
    """The password in lower case, without what stands before its first and after its last letter."""
    letters = [position for position, character in enumerate(password) if character.isalpha()]
    return password[letters[0] : letters[-1] + 1].lower() if letters else ""


def email_hash(email: str) -> bytes:
    """What attempts under an address are counted by."""
    return hashlib.sha256(normalized(email).encode()).digest()


def locked(settled_at: datetime | None, now: datetime) -> LoginLocked:
    """The refusal of an attempt that is one too many, when the ones before it settle at `settled_at`."""
    room = (ATTEMPTS_AT_ONCE - 1) * ATTEMPT_SETTLES_AFTER
    wait = max(timedelta(), (settled_at or now) - now - room)
    return LoginLocked("too many attempts to log in under this address: wait", retry_after=wait)


class SessionEnd(Enum):
    """Why a session is over before its time."""

    LOGOUT = "logout"
    TOKEN_REUSED = "token_reused"  # noqa: S105 — the name of an end, not a secret


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The right to go on with a session: the session's id and a proof. Only its hash is ever stored."""

    session_id: str
    text: str

    @classmethod
    def fresh(cls, session_id: str) -> "RefreshToken":
        """A token nobody has seen."""
        return cls(session_id, f"{session_id}.{secrets.token_urlsafe(32)}")

    @classmethod
    def parse(cls, text: str) -> "RefreshToken":
        """Read what a client sent. Anything can be read; most of it is then the token of no session."""
        return cls(text.partition(".")[0], text)

    @property
    def hash(self) -> bytes:
        """SHA-256. Nothing slower is needed: the proof is random, not chosen by a person."""
        return hashlib.sha256(self.text.encode()).digest()


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed statement of who somebody is."""

    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login hands out."""

    access: AccessToken
    refresh: RefreshToken
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key as it is stored. `retires_at` is None for the newest one."""

    key_id: str
    sealed_jwk: bytes
    created_at: datetime
    active_at: datetime
    retires_at: datetime | None = None


def retirement_of_predecessor(key: SigningKey) -> datetime:
    """When no token of the key before this one is valid any more."""
    return key.active_at + ACCESS_TOKEN_LIFETIME + RETIRED_AFTER_LAST_TOKEN
