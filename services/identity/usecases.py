"""What identity does, one function each."""

from datetime import datetime
from typing import Final

from chassis.core import ids
from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from services.identity import domain, publisher, store
from services.identity.domain import (
    REFRESH_TOKEN_LIFETIME,
    RefreshToken,
    Role,
    SessionEnd,
    SigningKey,
    TokenPair,
    User,
)
from services.identity.passwords import Passwords, common_words
from services.identity.settings import Settings
from services.identity.signing import Signer

STAFF_DISPLAY_NAME: Final = "Tradewind staff"
READY_EVERY_SECONDS: Final = 15
SWEEP_EVERY_SECONDS: Final = 3600


class UseCases:
    """Hashing and counting come before a transaction, everything else happens inside the caller's."""

    def __init__(
        self, database: Database, clock: Clock, passwords: Passwords, signer: Signer, settings: Settings
    ) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords
        self._signer = signer
        self._settings = settings

    async def hash_new_password(self, email: str, password: str) -> str:
        """What to store of a password somebody chose. Raises PasswordTooCommon, HashingBusy."""
        domain.check_password(password, email, common_words())
        return await self._passwords.hash(password)

    async def register(self, tx: Transaction, email: str, display_name: str, password_hash: str) -> User:
        """Open an account. Raises EmailTaken."""
        user = self._new_user(email, display_name, frozenset({Role.CUSTOMER}))
        if not await store.add_user(tx, user, password_hash):
            raise domain.EmailTaken("there is an account under this address")
        publisher.user_registered(tx, user)
        return user

    async def authenticate(self, email: str, password: str) -> User:
        """The user who has this address and password. Raises LoginLocked, CredentialsRefused, HashingBusy.

        An attempt is counted before the password is compared: a thousand guesses at once are a thousand attempts. It is
        taken back when the password could not be compared: a busy server locks nobody out.
        """
        email_hash = domain.email_hash(email)
        async with self._database.read() as reader:
            if not await store.count_attempt(reader, email_hash, self._clock.now()):
                raise domain.locked(await store.attempts_settled_at(reader, email_hash), self._clock.now())
            found = await store.find_credentials(reader, domain.normalized(email))
            try:
                is_right = await self._passwords.is_right(password, found.password_hash if found else None)
            except domain.HashingBusy:
                await self._take_back_attempt(email_hash)
                raise
            if not found or not is_right:
                raise domain.CredentialsRefused("the address or the password is wrong")
            await store.forget_attempts(reader, email_hash)
        return found.user

    async def open_session(self, tx: Transaction, user: User) -> TokenPair:
        """The first tokens of a new session."""
        now = self._clock.now()
        tokens = self._tokens(user, RefreshToken.fresh(ids.uuid7()), now)
        await store.open_session(tx, user, tokens.refresh, now, tokens.refresh_expires_at)
        return tokens

    async def refresh(self, tx: Transaction, token_text: str) -> TokenPair:
        """The next tokens of a session. Raises RefreshTokenRefused; RefreshTokenReused, and then the session has ended."""
        used, now = RefreshToken.parse(token_text), self._clock.now()
        fresh = RefreshToken.fresh(used.session_id)
        user = await store.exchange_token(tx, used, fresh, now, now + REFRESH_TOKEN_LIFETIME)
        if user:
            return self._tokens(user, fresh, now)
        if await store.end_session(tx, used.session_id, SessionEnd.TOKEN_REUSED, now):
            raise domain.RefreshTokenReused("the refresh token was used before: its session has ended")
        raise domain.RefreshTokenRefused("the refresh token belongs to no open session")

    async def log_out(self, tx: Transaction, token_text: str) -> None:
        """End the session of a refresh token, if there is one."""
        token = RefreshToken.parse(token_text)
        await store.end_session(tx, token.session_id, SessionEnd.LOGOUT, self._clock.now())

    async def profile(self, user_id: str) -> User:
        """A user. Raises UserNotFound."""
        async with self._database.read() as reader:
            return _found(await store.find_user(reader, user_id))

    async def rename(self, tx: Transaction, user_id: str, display_name: str, etag: str) -> User:
        """Change how a user is called. Raises UserNotFound, EtagMismatch."""
        user = _found(await store.lock_user(tx, user_id))
        user.check_etag(etag)
        renamed = user.renamed(display_name)
        await store.change_user(tx, renamed)
        return renamed

    async def set_roles(self, tx: Transaction, user_id: str, roles: frozenset[Role]) -> User:
        """Give a user these roles and no others. Raises UserNotFound, LastStaff."""
        staff = await store.lock_staff(tx)
        user = _found(await store.lock_user(tx, user_id))
        if Role.STAFF not in roles and staff == {user_id}:
            raise domain.LastStaff("somebody must be left to run the shop")
        changed = user.with_roles(roles)
        await store.change_user(tx, changed)
        return changed

    async def rotate_signing_key(self, tx: Transaction) -> SigningKey:
        """Publish a new key, which signs as soon as every verifier knows it. Raises RotationPending."""
        now = self._clock.now()
        key = self._signer.make_key(created_at=now, active_at=now + domain.PUBLISHED_BEFORE_SIGNING)
        if not await store.retire_newest_key(tx, now, domain.retirement_of_predecessor(key)):
            raise domain.RotationPending("the newest key does not sign yet")
        await store.add_signing_key(tx, key)
        tx.on_commit(lambda: self._signer.learn_newest(key))
        return key

    async def keep_ready(self) -> None:
        """Stay ready for as long as the process lives: other replicas rotate keys too."""
        while True:
            await self.get_ready()
            await self._clock.sleep(READY_EVERY_SECONDS)

    async def keep_sweeping(self) -> None:
        """Forget now and then what is over, for as long as the process lives."""
        while True:
            await self.sweep()
            await self._clock.sleep(SWEEP_EVERY_SECONDS)

    async def get_ready(self) -> None:
        """See to what must be there before anybody can log in."""
        await self.read_signing_keys()
        email, password = self._settings.staff_email, self._settings.staff_password
        if email and password:
            await self.open_staff_account(email.reveal(), password.reveal())

    async def read_signing_keys(self) -> None:
        """Learn all keys there are. Makes the first one if there is none."""
        now = self._clock.now()
        async with self._database.read() as reader:
            keys = await store.published_keys(reader, now)
            if not keys:
                await store.add_signing_key(reader, self._signer.make_key(created_at=now, active_at=now))
                keys = await store.published_keys(reader, now)
        self._signer.learn(keys)

    async def open_staff_account(self, email: str, password: str) -> None:
        """Give the shop somebody to run it. An account that is there under the address is left as it is."""
        async with self._database.read() as reader:
            if await store.find_credentials(reader, domain.normalized(email)):
                return
        password_hash = await self._passwords.hash(password)
        async with self._database.transaction() as tx:
            user = self._new_user(email, STAFF_DISPLAY_NAME, frozenset(Role))
            if await store.add_user(tx, user, password_hash):
                publisher.user_registered(tx, user)

    async def sweep(self) -> None:
        """Forget the sessions and keys that ended and the attempts that count no more."""
        async with self._database.read() as reader:
            await store.sweep(reader, self._clock.now())

    async def _take_back_attempt(self, email_hash: bytes) -> None:
        # In a transaction, which is not sent again when its connection dies: one taken back twice is a free guess.
        async with self._database.transaction() as tx:
            await store.take_back_attempt(tx, email_hash)

    def _tokens(self, user: User, refresh: RefreshToken, now: datetime) -> TokenPair:
        return TokenPair(self._signer.sign(user, now), refresh, now + REFRESH_TOKEN_LIFETIME)

    def _new_user(self, email: str, display_name: str, roles: frozenset[Role]) -> User:
        return User(
            user_id=ids.uuid7(),
            email=domain.normalized(email),
            display_name=display_name,
            roles=roles,
            registered_at=self._clock.now(),
        )


def _found(user: User | None) -> User:
    if user is None:
        raise domain.UserNotFound("there is no such user")
    return user
