"""What people may rely on about their accounts, and staff about who runs the shop."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.identity.client import (
    PASSWORD,
    STAFF_EMAIL,
    STAFF_PASSWORD,
    Identity,
    identity_on,
    refusals,
    registration,
    request_id,
    write_secrets,
)
from tradewind.identity.v1 import identity_service_pb2 as pb
from tradewind.identity.v1.user_events_pb2 import UserRegistered
from tradewind.identity.v1.user_pb2 import ROLE_CUSTOMER, ROLE_STAFF, Profile, Role


@pytest.fixture
async def identity(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Identity]:
    """One replica on a fresh database."""
    write_secrets(tmp_path, monkeypatch)
    async with identity_on(new_database("identity")) as running:
        yield running


def renaming(display_name: str, *, path: str = "display_name", etag: str = "") -> pb.UpdateProfileRequest:
    """A request to be called something else."""
    mask = FieldMask(paths=[path])
    return pb.UpdateProfileRequest(request_id=request_id(), display_name=display_name, update_mask=mask, etag=etag)


def roles(user_id: str, *roles: Role.ValueType) -> pb.SetRolesRequest:
    """A request for somebody to have these roles."""
    return pb.SetRolesRequest(request_id=request_id(), user_id=user_id, roles=roles)


async def test_registering_opens_an_account_of_a_customer(identity: Identity) -> None:
    """The address is kept in lower case, and the world is told once."""
    profile = await identity.register("Ada@Example.COM")
    assert (profile.email, profile.display_name, list(profile.roles), profile.etag) == (
        "ada@example.com",
        "Ada",
        [ROLE_CUSTOMER],
        "1",
    )
    facts = [UserRegistered.FromString(row["payload"]) for row in await identity.rows("outbox")]
    assert [fact for fact in facts if fact.email != STAFF_EMAIL] == [
        UserRegistered(
            user_id=profile.user_id,
            aggregate_version=1,
            email=profile.email,
            display_name=profile.display_name,
            register_time=profile.register_time,
        )
    ]


async def test_an_address_has_one_account(identity: Identity) -> None:
    """In whatever case it is written."""
    await identity.register("ada@example.com")
    with refused(errors.AlreadyExists, "EMAIL_TAKEN"):
        await identity.register("ADA@example.com")


async def test_of_many_who_want_one_address_one_gets_it(identity: Identity) -> None:
    """And one fact is published."""
    outcomes = await asyncio.gather(*(identity.register() for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(outcome, Profile) for outcome in outcomes) == 1
    assert len([row for row in await identity.rows("user_account") if row["email"] == "ada@example.com"]) == 1
    assert len(await identity.rows("outbox")) == 2  # the other one tells of the staff account


async def test_a_repeated_registration_is_answered_like_the_first(identity: Identity) -> None:
    """A lost reply is no second account; the same id with other content is a caller's bug."""
    request = registration()
    first = await identity.stub().RegisterUser(request)
    assert await identity.stub().RegisterUser(request) == first
    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await identity.stub().RegisterUser(registration(request_id=request.request_id, display_name="Bob"))


async def test_a_password_anybody_would_try_is_refused(identity: Identity) -> None:
    """However decorated. The field is named, the password is not."""
    for password in ("Password1234!", "Ada99999999999"):
        with refused(errors.InvalidArgument, "PASSWORD_TOO_COMMON") as refusal:
            await identity.register(password=password)
        assert isinstance(refusal.problem, errors.InvalidArgument)
        assert [violation.field for violation in refusal.problem.violations] == ["password"]
        assert password not in str(refusal.problem)


async def test_what_no_account_can_have_is_refused_by_field(identity: Identity) -> None:
    """And nothing is stored."""
    for field, value in (
        ("request_id", "1"),
        ("email", "ada"),
        ("email", "ada@example.com\x00"),
        ("email", "a" * 250 + "@example.com"),
        ("password", "short"),
        ("password", "x" * 129),
        ("display_name", ""),
        ("display_name", "x" * 81),
        ("display_name", " Ada"),
        ("display_name", "Ada\r\nBcc: everybody@example.com"),
    ):
        with refused(errors.InvalidArgument, "REQUEST_INVALID") as refusal:
            await identity.stub().RegisterUser(registration(**{field: value}))
        assert isinstance(refusal.problem, errors.InvalidArgument)
        assert [violation.field for violation in refusal.problem.violations] == [field], value
    assert [row["email"] for row in await identity.rows("user_account")] == [STAFF_EMAIL]


async def test_no_password_and_no_token_lies_in_the_database(identity: Identity) -> None:
    """In no table, whichever way a row is written out."""
    await identity.register()
    first = await identity.log_in()
    second = await identity.refresh(first.refresh_token)
    tables = ("user_account", "session", "login_rate", "signing_key", "request", "outbox")
    values = [value for table in tables for row in await identity.rows(table) for value in row.values()]
    stored = b" ".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    tokens = {token for pair in (first, second) for token in (pair.access_token, pair.refresh_token)}
    assert [secret for secret in {PASSWORD, STAFF_PASSWORD} | tokens if secret.encode() in stored] == []


async def test_people_see_and_change_their_own_profile(identity: Identity) -> None:
    """The etag goes on with each change."""
    await identity.register()
    ada = identity.stub((await identity.log_in()).access_token)
    before = (await ada.GetProfile(pb.GetProfileRequest())).profile
    after = (await ada.UpdateProfile(renaming("Countess", etag=before.etag))).profile
    assert (after.display_name, after.etag) == ("Countess", "2")
    assert (await ada.GetProfile(pb.GetProfileRequest())).profile == after


async def test_a_change_based_on_an_old_profile_is_refused(identity: Identity) -> None:
    """Of two who read the same etag, one is told to read again."""
    await identity.register()
    ada = identity.stub((await identity.log_in()).access_token)
    outcomes = await asyncio.gather(
        *(ada.UpdateProfile(renaming(name, etag="1")) for name in ("Augusta", "Countess")), return_exceptions=True
    )
    assert sum(isinstance(outcome, pb.UpdateProfileResponse) for outcome in outcomes) == 1
    with refused(errors.Aborted, "ETAG_MISMATCH"):
        await ada.UpdateProfile(renaming("Ada", etag="1"))


async def test_a_change_must_name_and_hold_what_it_changes(identity: Identity) -> None:
    """An empty mask or name is a mistake, not a wish."""
    await identity.register()
    ada = identity.stub((await identity.log_in()).access_token)
    without_mask, with_empty_mask = renaming("Countess"), renaming("Countess")
    without_mask.ClearField("update_mask")
    with_empty_mask.update_mask.Clear()
    part_of_a_name = renaming("Countess", path="display_name.first")
    for change in (without_mask, with_empty_mask, part_of_a_name, renaming(""), renaming("Ada\x00")):
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await ada.UpdateProfile(change)
    assert (await ada.GetProfile(pb.GetProfileRequest())).profile.display_name == "Ada"


async def test_a_profile_needs_a_login(identity: Identity) -> None:
    """Nobody has no profile."""
    with refused(errors.Unauthenticated, "TOKEN_MISSING"):
        await identity.stub().GetProfile(pb.GetProfileRequest())


async def test_there_is_somebody_to_run_the_shop_from_the_first_start(identity: Identity) -> None:
    """Staff give roles; they count from the next token on."""
    ada = await identity.register()
    tokens = await identity.log_in()
    with refused(errors.PermissionDenied, "ROLE_MISSING"):
        await identity.stub(tokens.access_token).SetRoles(roles(ada.user_id, ROLE_STAFF))
    staff = await identity.staff()
    given = await staff.SetRoles(roles(ada.user_id, ROLE_STAFF, ROLE_CUSTOMER))
    assert list(given.profile.roles) == [ROLE_CUSTOMER, ROLE_STAFF]
    promoted = await identity.refresh(tokens.refresh_token)
    await identity.stub(promoted.access_token).SetRoles(roles(ada.user_id, ROLE_CUSTOMER))


async def test_an_id_is_the_same_in_upper_case(identity: Identity) -> None:
    """A UUID may be written either way."""
    ada = await identity.register()
    given = await (await identity.staff()).SetRoles(roles(ada.user_id.upper(), ROLE_STAFF, ROLE_CUSTOMER))
    assert (given.profile.user_id, list(given.profile.roles)) == (ada.user_id, [ROLE_CUSTOMER, ROLE_STAFF])


async def test_roles_are_given_to_somebody(identity: Identity) -> None:
    """An id nobody has is refused."""
    with refused(errors.NotFound, "USER_NOT_FOUND"):
        await (await identity.staff()).SetRoles(roles(request_id(), ROLE_CUSTOMER))


async def test_everybody_stays_a_customer(identity: Identity) -> None:
    """A list of roles without that one is refused, and takes nothing away."""
    ada = await identity.register()
    staff = await identity.staff()
    for without in (roles(ada.user_id), roles(ada.user_id, ROLE_STAFF)):
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await staff.SetRoles(without)
    own = await identity.stub((await identity.log_in()).access_token).GetProfile(pb.GetProfileRequest())
    assert list(own.profile.roles) == [ROLE_CUSTOMER]


async def test_the_last_of_staff_stays(identity: Identity) -> None:
    """Nobody would be left to make somebody else staff."""
    staff = await identity.staff()
    own = (await staff.GetProfile(pb.GetProfileRequest())).profile
    with refused(errors.FailedPrecondition, "LAST_STAFF"):
        await staff.SetRoles(roles(own.user_id, ROLE_CUSTOMER))


async def test_two_who_take_the_role_from_each_other_do_not_both_lose_it(identity: Identity) -> None:
    """Even at the same moment: both have begun before either could go on."""
    ada = await identity.register()
    staff = await identity.staff()
    own = await staff.GetProfile(pb.GetProfileRequest())
    await staff.SetRoles(roles(ada.user_id, ROLE_STAFF, ROLE_CUSTOMER))
    async with identity.service.database.transaction() as tx:
        await tx.execute("SELECT FROM user_account FOR UPDATE")
        taking = [
            asyncio.create_task(refusals(staff.SetRoles(roles(user_id, ROLE_CUSTOMER))))
            for user_id in (own.profile.user_id, ada.user_id)
        ]
        await identity.until_blocked(sessions=2)
    assert sum([await taken for taken in taking], Counter()) == {"": 1, "LAST_STAFF": 1}
    assert sum("staff" in row["roles"] for row in await identity.rows("user_account")) == 1


async def test_two_replicas_that_start_together_open_one_staff_account(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And make one signing key; whoever starts later finds both."""
    write_secrets(tmp_path, monkeypatch)
    url = new_database("identity")
    starting = [identity_on(url) for _ in range(3)]
    replicas = await asyncio.gather(*(replica.__aenter__() for replica in starting))
    assert len(await replicas[0].rows("user_account")) == len(await replicas[0].rows("signing_key")) == 1
    assert len(await replicas[0].rows("outbox")) == 1
    assert len({replica.keys.route() for replica in replicas}) == 1
    await asyncio.gather(*(replica.__aexit__(None, None, None) for replica in starting))


async def test_whoever_took_the_staff_address_first_gets_no_role_by_it(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account that is there is left as it is."""
    url = new_database("identity")
    write_secrets(tmp_path, monkeypatch, staff_email="other@tradewind.example")
    async with identity_on(url) as identity:
        await identity.register(STAFF_EMAIL)
    write_secrets(tmp_path, monkeypatch)
    async with identity_on(url) as identity:
        row = next(row for row in await identity.rows("user_account") if row["email"] == STAFF_EMAIL)
        assert row["roles"] == ["customer"]
        with refused(errors.Unauthenticated, "CREDENTIALS_REFUSED"):
            await identity.log_in(STAFF_EMAIL, STAFF_PASSWORD)
