"""What everybody who checks a token may rely on while its signing key changes."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from chassis.core import errors
from chassis.core.settings import SettingsError
from chassis.testing.refusals import refused
from services.identity.domain import ACCESS_TOKEN_LIFETIME, PUBLISHED_BEFORE_SIGNING, RETIRED_AFTER_LAST_TOKEN
from tests.conftest import NewDatabase
from tests.integration.identity.client import JWKS, Identity, identity_on, refusals, request_id, write_secrets
from tools.stack.postgres import Postgres
from tradewind.identity.v1 import identity_service_pb2 as pb


@pytest.fixture
def database_url(new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh database, and the secrets to start with."""
    write_secrets(tmp_path, monkeypatch)
    return new_database("identity")


@pytest.fixture
async def identity(database_url: str) -> AsyncIterator[Identity]:
    """One replica, with one customer."""
    async with identity_on(database_url) as running:
        await running.register()
        yield running


async def rotate(identity: Identity) -> pb.RotateSigningKeyResponse:
    """Ask for a new key as staff."""
    return await (await identity.staff()).RotateSigningKey(pb.RotateSigningKeyRequest(request_id=request_id()))


def published(identity: Identity) -> list[str]:
    """The ids of the published keys."""
    return [key["kid"] for key in json.loads(identity.keys.route())["keys"]]


async def signing_now(identity: Identity) -> str:
    """The id of the key in a fresh token."""
    header = (await identity.log_in()).access_token.partition(".")[0]
    key_id: str = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return key_id


async def test_only_the_public_half_is_published(identity: Identity) -> None:
    """With what a verifier needs to pick it."""
    (key,) = json.loads(identity.keys.route())["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def test_a_new_key_is_published_long_before_it_signs(identity: Identity) -> None:
    """No verifier meets a token whose key it does not know."""
    old = await signing_now(identity)
    new = await rotate(identity)
    assert published(identity) == [old, new.key_id]
    assert new.activate_time.ToDatetime(identity.clock.now().tzinfo) == identity.clock.now() + PUBLISHED_BEFORE_SIGNING
    await identity.clock.advance(PUBLISHED_BEFORE_SIGNING.total_seconds() - 1)
    assert await signing_now(identity) == old
    await identity.clock.advance(1)
    assert await signing_now(identity) == new.key_id


async def test_an_old_key_is_published_until_its_last_token_has_expired(identity: Identity, database_url: str) -> None:
    """Nobody is logged out by a rotation; afterwards the key is gone, private half and all."""
    old = await signing_now(identity)
    new = await rotate(identity)
    await identity.clock.advance((PUBLISHED_BEFORE_SIGNING + ACCESS_TOKEN_LIFETIME).total_seconds())
    async with identity_on(database_url, identity.clock) as later:
        assert published(later) == [old, new.key_id]
    await identity.clock.advance(RETIRED_AFTER_LAST_TOKEN.total_seconds())
    async with identity_on(database_url, identity.clock) as later:
        assert published(later) == [new.key_id]
    await identity.clock.advance(1)
    await identity.sweep()
    assert [row["key_id"] for row in await identity.rows("signing_key")] == [new.key_id]


async def test_every_replica_publishes_a_new_key(identity: Identity, database_url: str) -> None:
    """Also one that starts before it signs."""
    new = await rotate(identity)
    async with identity_on(database_url, identity.clock) as other:
        assert published(other) == published(identity)
        assert await signing_now(other) == await signing_now(identity) != new.key_id


async def test_keys_change_one_at_a_time(identity: Identity) -> None:
    """Of several rotations at once one happens, and the next one waits until its key signs."""
    staff = await identity.staff()
    outcomes = await asyncio.gather(
        *(staff.RotateSigningKey(pb.RotateSigningKeyRequest(request_id=request_id())) for _ in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, pb.RotateSigningKeyResponse) for outcome in outcomes) == 1
    with refused(errors.FailedPrecondition, "ROTATION_PENDING"):
        await staff.RotateSigningKey(pb.RotateSigningKeyRequest(request_id=request_id()))
    await identity.clock.advance(PUBLISHED_BEFORE_SIGNING.total_seconds())
    await staff.RotateSigningKey(pb.RotateSigningKeyRequest(request_id=request_id()))
    assert len(published(identity)) == 3


async def test_only_staff_change_keys(identity: Identity) -> None:
    """A customer is refused."""
    customer = identity.stub((await identity.log_in()).access_token)
    with refused(errors.PermissionDenied, "ROLE_MISSING"):
        await customer.RotateSigningKey(pb.RotateSigningKeyRequest(request_id=request_id()))


async def test_the_private_half_is_sealed_in_the_database(identity: Identity) -> None:
    """Neither its JWK nor its parts can be read there."""
    (row,) = await identity.rows("signing_key")
    assert b"kty" not in row["sealed_jwk"]
    assert row["key_id"].encode() not in row["sealed_jwk"]


async def test_a_database_that_comes_late_is_waited_for(postgres: Postgres, database_url: str) -> None:
    """Until then the keys are missing rather than none, and calls are refused as worth repeating."""
    name = urlsplit(database_url).path[1:]
    async with identity_on(database_url.replace(name, f"{name}_late")) as identity:
        port = identity.service.operations_port
        with pytest.raises(HTTPError, match="503"):
            await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}{JWKS}")
        with refused(errors.Unavailable, "DATABASE_UNAVAILABLE"):
            await identity.register()
        postgres.clone("identity", f"{name}_late")
        async with asyncio.timeout(20):
            for call in (identity.register, identity.log_in):
                while await refusals(call()) != {"": 1}:
                    pass
        await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}{JWKS}")
    postgres.drop(f"{name}_late")


async def test_a_wrong_secret_stops_the_start(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one line that names it: a service that cannot sign must not look alive."""
    async with identity_on(database_url):
        pass
    write_secrets(tmp_path, monkeypatch, signing_key_secret="a1" * 32)
    with pytest.raises(SettingsError, match="signing_key_secret does not open"):
        async with identity_on(database_url):
            pass
