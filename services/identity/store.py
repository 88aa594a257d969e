"""Users, attempts, sessions and signing keys as rows."""

from datetime import datetime

from chassis.database import Reader, Row, Transaction
from chassis.database.statements import Statements
from services.identity.domain import (
    ATTEMPT_SETTLES_AFTER,
    ATTEMPTS_AT_ONCE,
    Credentials,
    RefreshToken,
    Role,
    SessionEnd,
    SigningKey,
    User,
)

SQL = Statements("services.identity")


async def add_user(tx: Transaction, user: User, password_hash: str) -> bool:
    """Store a new user; False when somebody has the address."""
    return bool(
        await tx.execute(
            SQL.add_user,
            user_id=user.user_id,
            email=user.email,
            display_name=user.display_name,
            roles=_role_names(user),
            password_hash=password_hash,
            registered_at=user.registered_at,
        )
    )


async def find_user(reader: Reader, user_id: str) -> User | None:
    """The user with this id."""
    row = await reader.first(SQL.find_user, user_id=user_id)
    return _user(row) if row else None


async def find_credentials(reader: Reader, email: str) -> Credentials | None:
    """The user with this address, and their password's hash."""
    row = await reader.first(SQL.find_credentials, email=email)
    return Credentials(_user(row), row["password_hash"]) if row else None


async def lock_user(tx: Transaction, user_id: str) -> User | None:
    """The user with this id, whom nobody else can change until the transaction ends."""
    row = await tx.first(SQL.lock_user, user_id=user_id)
    return _user(row) if row else None


async def change_user(tx: Transaction, user: User) -> None:
    """Store what can change about a user, who must be locked."""
    await tx.execute(
        SQL.change_user,
        user_id=user.user_id,
        display_name=user.display_name,
        roles=_role_names(user),
        version=user.version,
    )


async def lock_staff(tx: Transaction) -> frozenset[str]:
    """The ids of all staff, none of whom can be changed by somebody else until the transaction ends."""
    return frozenset(row["user_id"] for row in await tx.all(SQL.lock_staff))


async def count_attempt(reader: Reader, email_hash: bytes, now: datetime) -> bool:
    """Count an attempt to log in; False, and nothing counted, when it is one too many."""
    return bool(
        await reader.execute(
            SQL.count_attempt,
            email_hash=email_hash,
            now=now,
            settles_after=ATTEMPT_SETTLES_AFTER,
            at_most_ahead=ATTEMPTS_AT_ONCE * ATTEMPT_SETTLES_AFTER,
        )
    )


async def take_back_attempt(tx: Transaction, email_hash: bytes) -> None:
    """Let the last attempt that was counted not count."""
    await tx.execute(SQL.take_back_attempt, email_hash=email_hash, settles_after=ATTEMPT_SETTLES_AFTER)


async def attempts_settled_at(reader: Reader, email_hash: bytes) -> datetime | None:
    """When none of the attempts will count any more; None when there were none."""
    row = await reader.first(SQL.attempts_settled_at, email_hash=email_hash)
    return row["settled_at"] if row else None


async def forget_attempts(reader: Reader, email_hash: bytes) -> None:
    """Let no attempt count any more."""
    await reader.execute(SQL.forget_attempts, email_hash=email_hash)


async def open_session(tx: Transaction, user: User, token: RefreshToken, now: datetime, expires_at: datetime) -> None:
    """Store a new session."""
    await tx.execute(
        SQL.open_session,
        session_id=token.session_id,
        user_id=user.user_id,
        token_hash=token.hash,
        now=now,
        expires_at=expires_at,
    )


async def exchange_token(
    tx: Transaction, used: RefreshToken, fresh: RefreshToken, now: datetime, expires_at: datetime
) -> User | None:
    """Put one token of a session into the place of another; None when the other was not its newest."""
    row = await tx.first(
        SQL.exchange_token,
        session_id=used.session_id,
        token_hash=used.hash,
        next_token_hash=fresh.hash,
        now=now,
        expires_at=expires_at,
    )
    return _user(row) if row else None


async def end_session(tx: Transaction, session_id: str, ended_by: SessionEnd, now: datetime) -> bool:
    """End a session; False when none of this id was open."""
    return bool(await tx.execute(SQL.end_session, session_id=session_id, ended_by=ended_by.value, now=now))


async def add_signing_key(tx: Reader, key: SigningKey) -> bool:
    """Store a key as the newest; False when there is a newest one already."""
    return bool(
        await tx.execute(
            SQL.add_signing_key,
            key_id=key.key_id,
            sealed_jwk=key.sealed_jwk,
            created_at=key.created_at,
            active_at=key.active_at,
        )
    )


async def retire_newest_key(tx: Transaction, now: datetime, retires_at: datetime) -> bool:
    """Make room for a newer key; False when the newest one does not sign yet."""
    return bool(await tx.execute(SQL.retire_newest_key, now=now, retires_at=retires_at))


async def published_keys(reader: Reader, now: datetime) -> list[SigningKey]:
    """Every key that signs, will sign, or has signed tokens that may still be valid."""
    return [SigningKey(**row) for row in await reader.all(SQL.published_keys, now=now)]


async def sweep(reader: Reader, now: datetime) -> None:
    """Remove sessions and keys that ended, and attempts that settled."""
    await reader.execute(SQL.sweep, now=now)


def _role_names(user: User) -> list[str]:
    return sorted(role.value for role in user.roles)


def _user(row: Row) -> User:
    return User(
        user_id=row["user_id"],
        email=row["email"],
        display_name=row["display_name"],
        roles=frozenset(map(Role, row["roles"])),
        registered_at=row["registered_at"],
        version=row["version"],
    )
