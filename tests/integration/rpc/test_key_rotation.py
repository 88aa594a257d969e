"""Keys rotate while requests are repeated and pages are turned: nobody loses an answer by it."""

from pathlib import Path

import pytest

from chassis.core import errors
from chassis.core.secret import Secret
from chassis.core.settings import SettingsError
from chassis.testing import ManualClock, running
from chassis.testing.refusals import refused
from services.catalog.__main__ import service as catalog_service
from tests.conftest import NewDatabase
from tests.integration.catalog.client import creation
from tests.integration.identity.client import PASSWORD, identity_on, request_id, write_secrets
from tests.integration.rpc.stub import InventoryServiceStub, Stub, pb, reservation, serving
from tradewind.catalog.v1.catalog_service_pb2 import ListProductsRequest
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.identity.v1.identity_service_pb2 import LoginRequest

BARE = Secret("00" * 32)
ROTATED = Secret(f"2026-02:{'22' * 32}\n0:{'00' * 32}")
NEW_ALONE = Secret(f"2026-02:{'22' * 32}")


class Counting(Stub):
    """Answers differently each time it is asked."""

    asked = 0

    async def ReserveStock(self, _request: object, call: object) -> pb.ReserveStockResponse:
        """Holds something else each time."""
        async with call.once() as tx:  # type: ignore[attr-defined]  # Call, as every servicer gets it
            self.asked += 1
            response = pb.ReserveStockResponse()
            response.reservation.order_id = f"order-{self.asked}"
            return tx.reply(response)


async def reserve(url: str, stub: Stub, reply_key: Secret, **fields: str) -> str:
    """Send the request to a process that has these keys; what it answers."""
    async with serving(url, stub, reply_key=reply_key) as service:
        answer = await InventoryServiceStub(service.channel(peer="orders")).ReserveStock(reservation(**fields))
        return answer.reservation.order_id


async def test_a_repeat_after_a_rotation_gets_the_first_answer(new_database: NewDatabase) -> None:
    """It was told apart from other requests with a key that is no longer the current one."""
    url, stub = new_database("inventory"), Counting()
    assert await reserve(url, stub, BARE) == "order-1"
    assert await reserve(url, stub, ROTATED) == "order-1"


async def test_another_request_of_the_same_id_is_refused_after_a_rotation_too(new_database: NewDatabase) -> None:
    """The old key still tells one from the other."""
    url, stub = new_database("inventory"), Counting()
    await reserve(url, stub, BARE)
    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await reserve(url, stub, ROTATED, order_id="0198a6a0-0000-7000-8000-0000000000ff")


async def test_a_repeat_whose_key_is_gone_is_not_done_again(new_database: NewDatabase) -> None:
    """Nobody knows here what was answered: another process may, and the effect has happened."""
    url, stub = new_database("inventory"), Counting()
    await reserve(url, stub, BARE)
    with refused(errors.Unavailable, "REPLY_KEY_UNKNOWN"):
        await reserve(url, stub, NEW_ALONE)
    assert await reserve(url, stub, ROTATED) == "order-1"


async def test_a_sealed_answer_is_opened_after_a_rotation(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login's repeat gets the same tokens."""
    write_secrets(tmp_path, monkeypatch)
    url = new_database("identity")
    login = LoginRequest(request_id=request_id(), email="ada@example.com", password=PASSWORD)
    async with identity_on(url, reply_key=BARE) as identity:
        await identity.register()
        first = await identity.stub().Login(login)
    async with identity_on(url, reply_key=ROTATED) as identity:
        assert await identity.stub().Login(login) == first


async def test_signing_keys_are_opened_until_the_key_that_sealed_them_is_gone(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Identity goes on signing after a rotation of what seals its keys."""
    url = new_database("identity")
    write_secrets(tmp_path, monkeypatch, signing_key_secret=BARE.reveal())
    async with identity_on(url) as identity:
        await identity.register()
    write_secrets(tmp_path, monkeypatch, signing_key_secret=ROTATED.reveal())
    async with identity_on(url) as identity:
        assert (await identity.log_in()).access_token
    write_secrets(tmp_path, monkeypatch, signing_key_secret=NEW_ALONE.reveal())
    with pytest.raises(SettingsError, match="signing_key_secret does not open"):
        async with identity_on(url):
            pass


async def test_a_page_token_from_before_a_rotation_goes_on(new_database: NewDatabase, clock: ManualClock) -> None:
    """Until its key is removed; one from after it needs the old key no longer."""
    url = new_database("catalog")
    before = await page(url, clock, BARE)
    between = await page(url, clock, ROTATED, before)
    await page(url, clock, NEW_ALONE, between)
    with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
        await page(url, clock, NEW_ALONE, before)


async def page(url: str, clock: ManualClock, page_key: Secret, token: str = "") -> str:
    """Ask a process that has these keys for a page; the token of the next one."""
    it = running(catalog_service, "services.catalog", database_url=url, clock=clock, page_key=page_key)
    async with it as service:
        staff = CatalogServiceStub(service.channel(token=service.tokens.staff()))
        if not token:
            for number in range(5):
                await clock.advance(1)
                await staff.CreateProduct(creation(f"LAMP-{number}"))
        response = await staff.ListProducts(ListProductsRequest(page_size=1, page_token=token))
        assert len(response.products) == 1
        assert response.next_page_token
        return response.next_page_token
