"""What staff and shoppers may rely on when they keep and read the catalogue."""

import asyncio
from typing import Any

import grpc
import pytest

from chassis.core import errors
from chassis.testing import ManualClock
from chassis.testing.refusals import refused
from tests.integration.catalog.client import Catalog, creation, pounds, request_id
from tradewind.catalog.v1 import catalog_service_pb2 as pb
from tradewind.catalog.v1.product_events_pb2 import ProductChanged, ProductCreated, ProductRetired
from tradewind.catalog.v1.product_pb2 import PRODUCT_STATE_ACTIVE, PRODUCT_STATE_RETIRED, Product
from tradewind.type.v1.money_pb2 import Money


async def test_a_created_product_is_there_for_anyone(catalog: Catalog, clock: ManualClock) -> None:
    """What staff put on sale is what a shopper without a token reads."""
    created = await catalog.create("lamp-1", description="With a wick.", category="lamps")
    assert created == await catalog.get("LAMP-1")
    assert (created.sku, created.name, created.price, created.state) == (
        "LAMP-1", "Brass lamp", pounds(2450), PRODUCT_STATE_ACTIVE,
    )  # fmt: skip
    assert created.create_time.ToDatetime(clock.now().tzinfo) == clock.now()


async def test_creating_tells_a_fact(catalog: Catalog) -> None:
    """The fact holds the product, at version 1."""
    product = await catalog.create()
    fact = ProductCreated(sku="LAMP-1", aggregate_version=1, product=product, occur_time=product.update_time)
    assert await catalog.facts() == [fact]


async def test_a_sku_is_one_product_whatever_its_case(catalog: Catalog) -> None:
    """`lamp-1` and `LAMP-1` cannot both be created."""
    await catalog.create("LAMP-1")
    with refused(errors.AlreadyExists, "SKU_TAKEN"):
        await catalog.create("lamp-1")
    assert len(await catalog.facts()) == 1


async def test_of_two_who_create_the_same_product_one_is_told_so(catalog: Catalog) -> None:
    """Ten at once: one product, one fact, nine refusals."""
    outcomes = await asyncio.gather(*(catalog.create() for _ in range(10)), return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert {refusal.code() for refusal in refusals} == {grpc.StatusCode.ALREADY_EXISTS}
    assert len(refusals) == 9
    assert len(await catalog.facts()) == 1


async def test_a_repeated_request_gets_its_first_answer(catalog: Catalog) -> None:
    """The same id and content change nothing more; the same id with other content is refused."""
    request = creation()
    assert await catalog.staff.CreateProduct(request) == await catalog.staff.CreateProduct(request)
    assert len(await catalog.facts()) == 1
    request.name = "Another lamp"
    with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
        await catalog.staff.CreateProduct(request)


async def test_a_request_id_is_the_same_in_upper_case(catalog: Catalog) -> None:
    """It is a UUID, which may be written either way: what repeats it is no second request."""
    lower = creation(request_id="0198a6a0-0000-7000-8000-00000000000a")
    upper = creation(request_id=lower.request_id.upper())
    assert await catalog.staff.CreateProduct(lower) == await catalog.staff.CreateProduct(upper)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sku", ""),
        ("sku", "a b"),
        ("sku", "A" * 33),
        ("name", ""),
        ("name", " lamp"),
        ("name", "lamp\x00"),
        ("name", "n" * 201),
        ("description", "\x00"),
        ("description", "d" * 4001),
        ("category", "Lamps"),
        ("price", pounds(0)),
        ("price", Money(currency_code="pounds", minor_units=1)),
        ("price", pounds(10**13 + 1)),
        ("request_id", "1"),
    ],
)
async def test_what_no_catalogue_can_hold_is_refused_by_its_field(catalog: Catalog, field: str, value: object) -> None:
    """The refusal names the field, and nothing is stored."""
    with refused(errors.InvalidArgument, "REQUEST_INVALID") as refusal:
        await catalog.staff.CreateProduct(creation(**{field: value}))
    assert isinstance(refusal.problem, errors.InvalidArgument)
    assert {violation.field.split(".")[0] for violation in refusal.problem.violations} == {field}
    assert await catalog.skus() == []


async def test_shoppers_cannot_change_the_catalogue(catalog: Catalog) -> None:
    """Changing needs a staff token."""
    with refused(errors.Unauthenticated, "TOKEN_MISSING"):
        await catalog.anyone.CreateProduct(creation())


async def test_an_update_changes_what_the_mask_names(catalog: Catalog, clock: ManualClock) -> None:
    """The other fields stay, whatever the request holds in them."""
    created = await catalog.create(description="With a wick.")
    await clock.advance(60)
    changed = await catalog.update("lamp-1", "name", "price", name="Tin lamp", price=pounds(1995), description="Gone")
    assert (changed.name, changed.price, changed.description) == ("Tin lamp", pounds(1995), "With a wick.")
    assert changed.update_time.seconds == created.update_time.seconds + 60
    assert changed == await catalog.get("LAMP-1")
    assert (await catalog.facts())[1] == ProductChanged(
        sku="LAMP-1", aggregate_version=2, product=changed, occur_time=changed.update_time
    )


async def test_a_field_can_be_emptied(catalog: Catalog) -> None:
    """A named field that is empty becomes empty."""
    await catalog.create(description="With a wick.", category="lamps")
    changed = await catalog.update("LAMP-1", "description", "category")
    assert (changed.description, changed.category) == ("", "")


async def test_an_update_to_what_is_there_changes_nothing(catalog: Catalog) -> None:
    """No new version, no fact."""
    created = await catalog.create()
    assert await catalog.update("LAMP-1", name=created.name) == created
    assert len(await catalog.facts()) == 1


async def test_an_update_based_on_an_old_version_is_refused(catalog: Catalog) -> None:
    """The etag of the version read is the one that may be changed."""
    created = await catalog.create()
    changed = await catalog.update("LAMP-1", etag=created.etag, name="Tin lamp")
    with refused(errors.Aborted, "ETAG_MISMATCH"):
        await catalog.update("LAMP-1", etag=created.etag, name="Lead lamp")
    assert await catalog.get("LAMP-1") == changed


async def test_of_concurrent_updates_of_one_version_one_succeeds(catalog: Catalog) -> None:
    """Ten staff read the same version: nine must read again."""
    created = await catalog.create()
    outcomes = await asyncio.gather(
        *(catalog.update("LAMP-1", etag=created.etag, name=f"Lamp {n}") for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Product) for outcome in outcomes) == 1
    assert (await catalog.get("LAMP-1")).etag == "2"


async def test_facts_of_a_product_count_up_without_a_gap(catalog: Catalog) -> None:
    """Twenty concurrent changes: twenty versions, told in their order."""
    await catalog.create()
    await asyncio.gather(*(catalog.update("LAMP-1", price=pounds(n)) for n in range(1, 21)))
    facts: list[Any] = await catalog.facts()
    assert [fact.aggregate_version for fact in facts] == list(range(1, 22))
    assert await catalog.prices("LAMP-1") == [fact.product.price.minor_units for fact in reversed(facts)]


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ([], {}),
        (["sku"], {}),
        (["name.first"], {"name": "Tin lamp"}),
        (["price.minor_units"], {"price": pounds(1)}),
        (["name"], {}),
        (["name"], {"name": " lamp"}),
        (["price"], {}),
        (["price"], {"price": pounds(0)}),
    ],
)
async def test_an_update_to_what_no_catalogue_can_hold_is_refused(
    catalog: Catalog, paths: list[str], fields: dict[str, Any]
) -> None:
    """As at creation; and it must say what to change."""
    created = await catalog.create()
    request = pb.UpdateProductRequest(request_id=request_id(), sku="LAMP-1", **fields)
    request.update_mask.paths.extend(paths)
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await catalog.staff.UpdateProduct(request)
    assert await catalog.get("LAMP-1") == created


async def test_a_retired_product_can_still_be_read(catalog: Catalog) -> None:
    """It leaves the list, not the shop's memory."""
    await catalog.create("LAMP-1")
    await catalog.create("LAMP-2")
    retired = await catalog.retire("lamp-1")
    assert retired.state == PRODUCT_STATE_RETIRED
    assert await catalog.get("LAMP-1") == retired
    assert await catalog.skus() == ["LAMP-2"]
    assert await catalog.skus(include_retired=True) == ["LAMP-1", "LAMP-2"]
    assert (await catalog.facts())[2] == ProductRetired(
        sku="LAMP-1", aggregate_version=2, occur_time=retired.update_time
    )


async def test_retiring_again_changes_nothing(catalog: Catalog) -> None:
    """No new version, no fact."""
    await catalog.create()
    assert await catalog.retire("LAMP-1") == await catalog.retire("LAMP-1")
    assert len(await catalog.facts()) == 2


async def test_an_unknown_product_is_not_found(catalog: Catalog) -> None:
    """Whatever is asked of it."""
    with refused(errors.NotFound, "PRODUCT_NOT_FOUND"):
        await catalog.get("LAMP-1")
    with refused(errors.NotFound, "PRODUCT_NOT_FOUND"):
        await catalog.update("LAMP-1", name="Tin lamp")
    with refused(errors.NotFound, "PRODUCT_NOT_FOUND"):
        await catalog.retire("LAMP-1")
    with refused(errors.NotFound, "PRODUCT_NOT_FOUND"):
        await catalog.prices("LAMP-1")


async def test_a_batch_is_answered_in_the_order_asked_for(catalog: Catalog) -> None:
    """What does not exist is named; what is asked for twice is given once."""
    for sku in ("A", "B", "C"):
        await catalog.create(sku)
    reply = await catalog.anyone.BatchGetProducts(pb.BatchGetProductsRequest(skus=["C", "x", "a", "A", "B"]))
    assert [product.sku for product in reply.products] == ["C", "A", "B"]
    assert reply.missing_skus == ["X"]


@pytest.mark.parametrize("skus", [[], ["A", "A"], ["A'; DROP TABLE product"], [f"A{n}" for n in range(101)]])
async def test_a_batch_is_from_1_to_100_skus_each_once(catalog: Catalog, skus: list[str]) -> None:
    """Anything else is refused."""
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await catalog.anyone.BatchGetProducts(pb.BatchGetProductsRequest(skus=skus))


async def test_pages_show_every_product_once_in_the_order_of_skus(catalog: Catalog) -> None:
    """Whatever their size."""
    skus = [f"S{n:02}" for n in range(7)]
    for sku in reversed(skus):
        await catalog.create(sku)
    assert [await catalog.skus(page_size=size) for size in (0, 1, 3, 7, 8)] == [skus] * 5


async def test_a_list_can_be_filtered(catalog: Catalog) -> None:
    """By category and by a part of the name, whatever its case; a wildcard is a letter like any other."""
    await catalog.create("A", name="Brass LAMP", category="lamps")
    await catalog.create("B", name="Lamp oil 100%", category="oils")
    await catalog.create("C", name="Crème", category="sweets")
    assert await catalog.skus(category="lamps") == ["A"]
    assert await catalog.skus(name_contains="lamp", page_size=1) == ["A", "B"]
    assert await catalog.skus(name_contains="%") == ["B"]
    assert await catalog.skus(name_contains="CRÈME") == ["C"]
    assert await catalog.skus(name_contains="lamp", category="oils") == ["B"]


async def test_a_page_token_continues_only_the_query_it_is_from(catalog: Catalog) -> None:
    """Another filter, another method, a letter changed: refused."""
    await catalog.create("A")
    await catalog.create("B")
    token = (await catalog.anyone.ListProducts(pb.ListProductsRequest(page_size=1))).next_page_token
    for query in ({"category": "lamps"}, {"include_retired": True}):
        with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
            await catalog.skus(page_token=token, **query)
    with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
        await catalog.prices("A", page_token=token)
    with refused(errors.InvalidArgument, "PAGE_TOKEN_INVALID"):
        await catalog.skus(page_token=token[:-2] + "xx")


async def test_every_price_is_remembered(catalog: Catalog, clock: ManualClock) -> None:
    """The newest first, page by page; what is no change of price leaves no trace."""
    await catalog.create(price=pounds(100))
    for pence in (200, 300):
        await clock.advance(60)
        await catalog.update("LAMP-1", price=pounds(pence))
        await catalog.update("LAMP-1", name=f"Lamp at {pence}")
    assert await catalog.prices("lamp-1", page_size=2) == [300, 200, 100]
    newest = (await catalog.anyone.ListPriceChanges(pb.ListPriceChangesRequest(sku="LAMP-1"))).price_changes[0]
    assert newest.effective_time.ToDatetime(clock.now().tzinfo) == clock.now()
