"""What people may rely on when they log in, and what a thief may not."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from chassis.core import errors
from chassis.rpc.tokens import ALGORITHM
from chassis.testing.refusals import refused
from services.identity import domain
from services.identity.domain import (
    ATTEMPT_SETTLES_AFTER,
    ATTEMPTS_AT_ONCE,
    REFRESH_TOKEN_LIFETIME,
)
from tests.conftest import NewDatabase
from tests.integration.identity.client import PASSWORD, Identity, identity_on, refusals, request_id, write_secrets
from tradewind.identity.v1 import identity_service_pb2 as pb
from tradewind.identity.v1.user_pb2 import TokenPair

WRONG = "wrong horse battery staple"


@pytest.fixture
async def identity(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Identity]:
    """One replica on a fresh database, with one customer."""
    write_secrets(tmp_path, monkeypatch)
    async with identity_on(new_database("identity")) as running:
        await running.register()
        yield running


async def fail_to_log_in(identity: Identity, email: str, times: int) -> None:
    """Try a wrong password that often."""
    for _ in range(times):
        with refused(errors.Unauthenticated, "CREDENTIALS_REFUSED"):
            await identity.log_in(email, WRONG)


async def test_a_login_hands_out_a_token_that_says_who_one_is(identity: Identity) -> None:
    """For ten minutes, as RFC 9068 wants it; and the service accepts it."""
    tokens = await identity.log_in("Ada@Example.com")
    keys = KeySet.import_key_set(json.loads(identity.keys.route()))
    token = jwt.decode(tokens.access_token, keys, algorithms=[ALGORITHM])
    ada = (await identity.stub(tokens.access_token).GetProfile(pb.GetProfileRequest())).profile
    now = int(identity.clock.now().timestamp())
    assert token.header == {"alg": ALGORITHM, "typ": "at+jwt", "kid": keys.keys[0].kid}
    uuid.UUID(token.claims.pop("jti"))
    assert token.claims == {
        "iss": "https://identity.tradewind.dev",
        "aud": "tradewind",
        "sub": ada.user_id,
        "roles": ["customer"],
        "iat": now,
        "exp": now + 600,
    }
    assert tokens.access_token_expire_time.seconds == now + 600


async def test_a_stranger_is_not_told_whether_the_address_or_the_password_is_wrong(identity: Identity) -> None:
    """Both refusals are the same to the letter."""
    with refused(errors.Unauthenticated, "CREDENTIALS_REFUSED") as wrong_password:
        await identity.log_in("ada@example.com", WRONG)
    with refused(errors.Unauthenticated, "CREDENTIALS_REFUSED") as unknown_address:
        await identity.log_in("bob@example.com", WRONG)
    assert str(wrong_password.problem) == str(unknown_address.problem)


async def test_what_is_no_address_is_told_so(identity: Identity) -> None:
    """Before anything is counted or compared."""
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await identity.log_in("ada\x00")


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_guessing_is_slowed_down(identity: Identity, email: str) -> None:
    """Whether or not there is such an account; the right password does not help, waiting does."""
    await fail_to_log_in(identity, email, ATTEMPTS_AT_ONCE)
    with refused(errors.ResourceExhausted, "LOGIN_LOCKED") as locked:
        await identity.log_in(email, PASSWORD)
    assert locked.problem is not None
    assert locked.problem.retry_after == ATTEMPT_SETTLES_AFTER
    await identity.clock.advance(ATTEMPT_SETTLES_AFTER.total_seconds())
    await fail_to_log_in(identity, email, 1)
    with refused(errors.ResourceExhausted, "LOGIN_LOCKED"):
        await identity.log_in(email, WRONG)


async def test_guessing_one_address_locks_no_other(identity: Identity) -> None:
    """Everybody has attempts of their own."""
    await fail_to_log_in(identity, "bob@example.com", ATTEMPTS_AT_ONCE)
    await identity.log_in()


async def test_guesses_made_at_once_are_counted_one_by_one(identity: Identity) -> None:
    """None slips through while another one is compared."""
    outcomes = await refusals(*(identity.log_in(password=WRONG) for _ in range(2 * ATTEMPTS_AT_ONCE)))
    assert outcomes == {"CREDENTIALS_REFUSED": ATTEMPTS_AT_ONCE, "LOGIN_LOCKED": ATTEMPTS_AT_ONCE}


async def test_a_busy_server_locks_nobody_out(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password that could not be compared was no attempt."""
    write_secrets(tmp_path, monkeypatch)
    monkeypatch.setenv("TRADEWIND_HASHING_THREADS", "1")
    monkeypatch.setenv("TRADEWIND_HASHING_QUEUE", "0")
    async with identity_on(new_database("identity")) as identity:
        outcomes = await refusals(*(identity.log_in(password=WRONG) for _ in range(ATTEMPTS_AT_ONCE)))
        assert outcomes.keys() == {"CREDENTIALS_REFUSED", "HASHING_BUSY"}
        await fail_to_log_in(identity, "ada@example.com", outcomes["HASHING_BUSY"])
        with refused(errors.ResourceExhausted, "LOGIN_LOCKED"):
            await identity.log_in(password=WRONG)


async def test_a_login_settles_the_failures_before_it(identity: Identity) -> None:
    """Whoever mistyped and then got it right starts anew."""
    for _ in range(2):
        await fail_to_log_in(identity, "ada@example.com", ATTEMPTS_AT_ONCE - 1)
        await identity.log_in()


async def test_a_repeated_login_opens_no_second_session(identity: Identity) -> None:
    """The stored answer is given again, to whoever knows the password."""
    request = pb.LoginRequest(request_id=request_id(), email="ada@example.com", password=PASSWORD)
    first = await identity.stub().Login(request)
    assert await identity.stub().Login(request) == first
    assert len(await identity.rows("session")) == 1
    request.password = WRONG
    with refused(errors.Unauthenticated, "CREDENTIALS_REFUSED"):
        await identity.stub().Login(request)


async def test_a_session_goes_on_by_refreshing(identity: Identity) -> None:
    """Each time with another pair, and without end as long as it is used."""
    tokens = await identity.log_in()
    for _ in range(3):
        await identity.clock.advance(REFRESH_TOKEN_LIFETIME.total_seconds() - 1)
        tokens, before = await identity.refresh(tokens.refresh_token), tokens
        assert tokens.refresh_token != before.refresh_token
        assert tokens.access_token != before.access_token
    await identity.clock.advance(REFRESH_TOKEN_LIFETIME.total_seconds() + 1)
    with refused(errors.Unauthenticated, "REFRESH_TOKEN_REFUSED"):
        await identity.refresh(tokens.refresh_token)


async def test_a_token_used_twice_ends_its_session(identity: Identity) -> None:
    """One of the two users stole it, and nobody can tell which. Other sessions go on."""
    elsewhere = await identity.log_in()
    stolen = await identity.log_in()
    newest = await identity.refresh(stolen.refresh_token)
    with refused(errors.Unauthenticated, "REFRESH_TOKEN_REUSED"):
        await identity.refresh(stolen.refresh_token)
    for token in (newest.refresh_token, stolen.refresh_token):
        with refused(errors.Unauthenticated, "REFRESH_TOKEN_REFUSED"):
            await identity.refresh(token)
    await identity.refresh(elsewhere.refresh_token)


async def test_a_token_from_long_ago_ends_its_session_too(identity: Identity) -> None:
    """Not only the one before the newest."""
    tokens = first = await identity.log_in()
    for _ in range(3):
        tokens = await identity.refresh(tokens.refresh_token)
    with refused(errors.Unauthenticated, "REFRESH_TOKEN_REUSED"):
        await identity.refresh(first.refresh_token)
    with refused(errors.Unauthenticated, "REFRESH_TOKEN_REFUSED"):
        await identity.refresh(tokens.refresh_token)


async def test_a_lost_reply_is_not_taken_for_theft(identity: Identity) -> None:
    """The same request gets the same pair, and the session goes on with it."""
    tokens = await identity.log_in()
    request = pb.RefreshSessionRequest(request_id=request_id(), refresh_token=tokens.refresh_token)
    replies = await asyncio.gather(*(identity.stub().RefreshSession(request) for _ in range(4)))
    assert replies == [replies[0]] * len(replies)
    await identity.refresh(replies[0].tokens.refresh_token)


async def test_a_lost_reply_is_not_taken_for_theft_when_the_access_token_is_gone(identity: Identity) -> None:
    """The header makes no difference: whoever refreshes has a token that still holds, one that no longer does, or none."""
    tokens = await identity.log_in()
    request = pb.RefreshSessionRequest(request_id=request_id(), refresh_token=tokens.refresh_token)
    first = await identity.stub(tokens.access_token).RefreshSession(request)
    assert await identity.stub(first.tokens.access_token).RefreshSession(request) == first
    assert await identity.stub().RefreshSession(request) == first
    await identity.refresh(first.tokens.refresh_token)


async def test_strangers_do_not_share_their_answers(identity: Identity) -> None:
    """Even under one request id: the answer goes to those who know the password or the token it was given for."""
    tokens = await identity.log_in()
    request = pb.RefreshSessionRequest(request_id=request_id(), refresh_token=tokens.refresh_token)
    await identity.stub().RefreshSession(request)
    request.refresh_token = (await identity.log_in()).refresh_token
    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await identity.stub().RefreshSession(request)


async def test_a_refusal_of_a_reused_token_is_repeated(identity: Identity) -> None:
    """The session ended with the first refusal; the same request is refused in the same words."""
    tokens = await identity.log_in()
    await identity.refresh(tokens.refresh_token)
    request = pb.RefreshSessionRequest(request_id=request_id(), refresh_token=tokens.refresh_token)
    for _ in range(2):
        with refused(errors.Unauthenticated, "REFRESH_TOKEN_REUSED"):
            await identity.stub().RefreshSession(request)


async def test_of_two_who_use_a_token_at_once_neither_keeps_the_session(identity: Identity) -> None:
    """One is answered, the other one gives the theft away."""
    tokens = await identity.log_in()
    outcomes = await asyncio.gather(*(identity.refresh(tokens.refresh_token) for _ in range(2)), return_exceptions=True)
    answered = [outcome for outcome in outcomes if isinstance(outcome, TokenPair)]
    assert len(answered) == 1
    with refused(errors.Unauthenticated, "REFRESH_TOKEN_REFUSED"):
        await identity.refresh(answered[0].refresh_token)


async def test_a_token_nobody_issued_is_refused(identity: Identity) -> None:
    """It ends nothing."""
    for token in ("unknown", "a.b.c", str(uuid.uuid4())):
        with refused(errors.Unauthenticated, "REFRESH_TOKEN_REFUSED"):
            await identity.refresh(token)


async def test_what_cannot_be_a_token_is_told_so(identity: Identity) -> None:
    """The field is named."""
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await identity.refresh("\x00")


async def test_logging_out_ends_the_session(identity: Identity) -> None:
    """By any of its tokens, and as often as one likes."""
    first = await identity.log_in()
    second = await identity.refresh(first.refresh_token)
    for token in (first.refresh_token, second.refresh_token, "unknown"):
        await identity.log_out(token)
    with refused(errors.Unauthenticated, "REFRESH_TOKEN_REFUSED"):
        await identity.refresh(second.refresh_token)


async def test_what_is_over_is_forgotten(identity: Identity) -> None:
    """Sessions that ended and attempts that settled leave nothing behind."""
    await identity.log_in()
    await fail_to_log_in(identity, "bob@example.com", 1)
    await identity.clock.advance(REFRESH_TOKEN_LIFETIME.total_seconds() + 1)
    newest = await identity.log_in()
    await identity.sweep()
    assert len(await identity.rows("session")) == 1
    assert await identity.rows("login_rate") == []
    await identity.refresh(newest.refresh_token)


async def test_a_bug_puts_no_password_into_the_log(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What went wrong and where is told, but not with which values."""
    monkeypatch.delattr(domain.Credentials, "password_hash")
    with refused(errors.Internal, "INTERNAL"):
        await identity.log_in()
    logged = capfd.readouterr().out
    assert "AttributeError" in logged
    assert PASSWORD not in logged
