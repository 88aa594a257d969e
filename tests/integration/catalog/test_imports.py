"""What staff may rely on when they import a catalogue: each line counts once, however often and brokenly it is sent."""

import asyncio
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.integration.catalog.client import Catalog, pounds
from tradewind.catalog.v1 import catalog_service_pb2 as pb
from tradewind.catalog.v1.product_pb2 import PRODUCT_STATE_ACTIVE

IMPORT_ID = "0198a6a0-0000-7000-8000-000000000001"

Lines = Iterable[pb.ImportProductsRequest] | AsyncIterable[pb.ImportProductsRequest]


def line(number: int, sku: str | None = None, import_id: str = IMPORT_ID, **fields: str) -> pb.ImportProductsRequest:
    """A good line, but for what is said otherwise."""
    good = {"name": "Brass lamp", "price": "24.50", "currency_code": "GBP"}
    sku = f"S{number:05}" if sku is None else sku
    return pb.ImportProductsRequest(request_id=import_id, line_number=number, sku=sku, **{**good, **fields})


async def send(catalog: Catalog, lines: Lines) -> pb.ImportReport:
    """Import lines as staff."""
    return (await catalog.staff.ImportProducts(lines)).report


async def report(catalog: Catalog) -> pb.ImportReport:
    """How far the import has come."""
    return (await catalog.staff.GetImport(pb.GetImportRequest(import_id=IMPORT_ID))).report


def figures(found: pb.ImportReport) -> tuple[int, int, int, int, int]:
    """Created, changed, unchanged, rejected, last line."""
    return found.created, found.changed, found.unchanged, found.rejected, found.last_line


async def versions(catalog: Catalog) -> list[tuple[str, int]]:
    """The versions of which products were told, in their order."""
    facts: list[Any] = await catalog.facts()
    return [(fact.sku, fact.aggregate_version) for fact in facts]


async def test_imported_products_are_on_sale(catalog: Catalog) -> None:
    """With a fact for each, as if staff had created them."""
    found = await send(catalog, [line(1, "lamp-1", category="lamps"), line(3, "LAMP-2", price="3")])
    assert figures(found) == (2, 0, 0, 0, 3)
    lamp = await catalog.get("LAMP-1")
    assert (lamp.name, lamp.category, lamp.price, lamp.state) == (
        "Brass lamp",
        "lamps",
        pounds(2450),
        PRODUCT_STATE_ACTIVE,
    )
    facts: list[Any] = await catalog.facts()
    assert [fact.product for fact in facts] == [lamp, await catalog.get("LAMP-2")]


async def test_each_bad_line_is_reported_with_its_reason(catalog: Catalog) -> None:
    """And keeps no good line from being imported."""
    bad = [
        ("SKU_INVALID", {"sku": ""}),
        ("SKU_INVALID", {"sku": "A B"}),
        ("SKU_INVALID", {"sku": "A" * 33}),
        ("NAME_MISSING", {"name": " "}),
        ("NAME_INVALID", {"name": "a\x00b"}),
        ("NAME_INVALID", {"name": "n" * 201}),
        ("CATEGORY_INVALID", {"category": "Two Words"}),
        ("PRICE_INVALID", {"price": ""}),
        ("PRICE_INVALID", {"price": "NaN"}),
        ("PRICE_INVALID", {"price": "1e3"}),
        ("PRICE_INVALID", {"price": "0.001"}),
        ("PRICE_INVALID", {"price": "100000000000.01"}),
        ("PRICE_NOT_POSITIVE", {"price": "0"}),
        ("PRICE_NOT_POSITIVE", {"price": "-1.50"}),
        ("CURRENCY_INVALID", {"currency_code": "gbp"}),
    ]
    lines = [line(number, **fields) for number, (_, fields) in enumerate(bad, start=1)]
    found = await send(catalog, [*lines, line(99, "LAMP-1")])
    assert figures(found) == (1, 0, 0, len(bad), 99)
    assert [(fault.line_number, pb.LineRejection.Name(fault.reason)) for fault in found.rejected_lines] == [
        (number, f"LINE_REJECTION_{reason}") for number, (reason, _) in enumerate(bad, start=1)
    ]


async def test_prices_are_read_in_the_minor_unit_of_their_currency(catalog: Catalog) -> None:
    """A yen has no hundredths, a dinar has thousandths."""
    await send(
        catalog,
        [
            line(1, "Y", price="250", currency_code="JPY"),
            line(2, "D", price="1.255", currency_code="KWD"),
            line(3, "P", price="2.5", currency_code="GBP"),
        ],
    )
    assert [(await catalog.get(sku)).price.minor_units for sku in "YDP"] == [250, 1255, 250]


async def test_a_line_that_says_what_is_stored_changes_nothing(catalog: Catalog) -> None:
    """Another import of the same products: no version, no fact, no price."""
    await send(catalog, [line(1, "LAMP-1")])
    found = await send(catalog, [line(1, "LAMP-1", import_id=str(uuid.uuid4()))])
    assert figures(found) == (0, 0, 1, 0, 1)
    assert await versions(catalog) == [("LAMP-1", 1)]


async def test_a_line_changes_what_it_says_otherwise(catalog: Catalog) -> None:
    """Name and price follow the line; description, and category where the line has none, stay as staff wrote them."""
    created = await catalog.create("LAMP-1", description="With a wick.", category="lamps", price=pounds(100))
    found = await send(catalog, [line(1, "LAMP-1", name="Tin lamp", price="2.00")])
    assert figures(found) == (0, 1, 0, 0, 1)
    changed = await catalog.get("LAMP-1")
    assert (changed.name, changed.description, changed.category) == ("Tin lamp", created.description, created.category)
    assert await catalog.prices("LAMP-1") == [200, 100]
    assert await versions(catalog) == [("LAMP-1", 1), ("LAMP-1", 2)]


async def test_a_retired_product_is_on_sale_again_once_a_line_names_it(catalog: Catalog) -> None:
    """Even if nothing else about it is new."""
    await send(catalog, [line(1, "LAMP-1")])
    await catalog.retire("LAMP-1")
    await send(catalog, [line(2, "LAMP-1")])
    assert (await catalog.get("LAMP-1")).state == PRODUCT_STATE_ACTIVE
    assert await versions(catalog) == [("LAMP-1", 1), ("LAMP-1", 2), ("LAMP-1", 3)]


async def test_a_product_named_twice_ends_as_the_later_line_says(catalog: Catalog) -> None:
    """And both its prices are remembered."""
    found = await send(catalog, [line(1, "LAMP-1", price="1"), line(2, "LAMP-2"), line(3, "lamp-1", price="2")])
    assert figures(found) == (2, 1, 0, 0, 3)
    assert await catalog.prices("LAMP-1") == [200, 100]


async def test_many_batches_are_one_import(catalog: Catalog) -> None:
    """Every product is there once, and once in the facts."""
    found = await send(catalog, (line(number) for number in range(1, 3_502)))
    assert figures(found) == (3_501, 0, 0, 0, 3_501)
    assert len(await catalog.skus(page_size=500)) == 3_501
    assert len(set(await versions(catalog))) == len(await versions(catalog)) == 3_501


async def test_lines_sent_again_are_passed_over(catalog: Catalog) -> None:
    """The same import again gets the same report, even after staff changed a product meanwhile."""
    lines = [line(1, "LAMP-1"), line(2, "LAMP-2", price="")]
    first = await send(catalog, lines)
    changed = await catalog.update("LAMP-1", name="Tin lamp")
    assert await send(catalog, lines) == first == await report(catalog)
    assert await catalog.get("LAMP-1") == changed


async def test_lines_sent_again_are_passed_over_in_the_middle_of_a_batch(catalog: Catalog) -> None:
    """Where a stream that goes on begins need not be where a batch of the one before ended."""
    await send(catalog, map(line, range(1, 6)))
    changed = await catalog.update("S00005", name="Tin lamp")
    assert figures(await send(catalog, map(line, range(3, 9)))) == (8, 0, 0, 0, 8)
    assert await catalog.get("S00005") == changed


async def test_a_stream_broken_by_a_fault_keeps_its_whole_batches_and_can_go_on(catalog: Catalog) -> None:
    """Two batches of a thousand stay, the third is not begun; the rest comes in a stream of its own."""
    with refused(errors.InvalidArgument, "LINES_OUT_OF_ORDER") as refusal:
        await send(catalog, [*map(line, range(1, 2_501)), line(2_500)])
    assert refusal.problem
    assert refusal.problem.metadata == {"line_number": "2500"}
    assert figures(await report(catalog)) == (2_000, 0, 0, 0, 2_000)
    assert len(await catalog.facts()) == 2_000
    assert figures(await send(catalog, map(line, range(2_001, 2_501)))) == (2_500, 0, 0, 0, 2_500)


async def test_a_stream_its_client_gave_up_keeps_its_whole_batches_and_can_go_on(catalog: Catalog) -> None:
    """What had not filled a batch is not stored, until the import goes on."""
    never = asyncio.Event()

    async def broken() -> AsyncIterator[pb.ImportProductsRequest]:
        for number in range(1, 1_501):
            yield line(number)
        await never.wait()

    stream = catalog.staff.ImportProducts(broken())
    async with asyncio.timeout(10):
        while not await products_stored(catalog):
            pass
    stream.cancel()
    assert figures(await report(catalog)) == (1_000, 0, 0, 0, 1_000)
    assert figures(await send(catalog, map(line, range(1, 1_501)))) == (1_500, 0, 0, 0, 1_500)
    assert len(await catalog.facts()) == 1_500


async def products_stored(catalog: Catalog) -> bool:
    """Whether anything is on sale."""
    return bool(await catalog.skus(page_size=1, name_contains="Brass"))


async def test_two_streams_of_one_import_count_each_line_once(catalog: Catalog) -> None:
    """Sent twice at the same time, by somebody impatient."""

    def lines() -> Iterator[pb.ImportProductsRequest]:
        return (line(number, price="" if number % 10 == 0 else "1") for number in range(1, 3_001))

    await asyncio.gather(send(catalog, lines()), send(catalog, lines()))
    assert figures(await report(catalog)) == (2_700, 0, 0, 300, 3_000)
    assert len(await catalog.facts()) == 2_700


async def test_imports_of_the_same_products_in_opposite_order_do_not_block_each_other(catalog: Catalog) -> None:
    """Both end; each product has one version by each import."""
    one = (line(number, f"S{number:05}", price="1") for number in range(1, 901))
    other_id = str(uuid.uuid4())
    other = (line(number, f"S{901 - number:05}", other_id, price="2") for number in range(1, 901))
    await asyncio.gather(send(catalog, one), send(catalog, other))
    assert sorted(await versions(catalog)) == [(f"S{n:05}", version) for n in range(1, 901) for version in (1, 2)]


async def test_the_first_thousand_rejected_lines_are_kept(catalog: Catalog) -> None:
    """The others are counted."""
    found = await send(catalog, (line(number, "") for number in range(1, 2_501)))
    assert figures(found) == (0, 0, 0, 2_500, 2_500)
    assert [fault.line_number for fault in found.rejected_lines] == list(range(1, 1_001))


async def test_a_stream_is_one_import(catalog: Catalog) -> None:
    """Another request id in the middle is refused."""
    with refused(errors.InvalidArgument, "REQUEST_ID_CHANGED"):
        await send(catalog, [line(1), line(2, import_id=str(uuid.uuid4()))])
    assert await catalog.skus() == []


async def test_an_import_is_the_same_in_upper_case(catalog: Catalog) -> None:
    """Its id is a UUID, which may be written either way, even within a stream."""
    found = await send(catalog, [line(1), line(2, import_id=IMPORT_ID.upper())])
    assert figures(found) == (2, 0, 0, 0, 2)


async def test_an_empty_stream_is_refused(catalog: Catalog) -> None:
    """It names no import."""
    with refused(errors.InvalidArgument, "STREAM_EMPTY"):
        await send(catalog, [])


async def test_a_line_out_of_all_bounds_breaks_the_stream(catalog: Catalog) -> None:
    """What is merely wrong is reported; what no line can be is refused."""
    for message in (line(0), line(1, "S" * 257), line(1, import_id="x")):
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await send(catalog, [message])


async def test_an_unknown_import_is_not_found(catalog: Catalog) -> None:
    """Not even one whose first line was never stored."""
    with refused(errors.NotFound, "IMPORT_NOT_FOUND"):
        await report(catalog)


async def test_shoppers_cannot_import(catalog: Catalog) -> None:
    """Importing needs a staff token."""
    with refused(errors.Unauthenticated, "TOKEN_MISSING"):
        await catalog.anyone.ImportProducts(iter([line(1)]))
