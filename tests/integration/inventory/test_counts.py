"""What warehouses and shoppers may rely on when they count stock and ask for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.inventory.client import Inventory, line, new_id, running_inventory
from tradewind.inventory.v1 import inventory_service_pb2 as pb
from tradewind.inventory.v1.stock_events_pb2 import StockDepleted
from tradewind.inventory.v1.stock_pb2 import (
    ADJUSTMENT_REJECTION_REQUEST_ID_REUSED,
    ADJUSTMENT_REJECTION_STOCK_ABOVE_LIMIT,
    ADJUSTMENT_REJECTION_STOCK_BELOW_RESERVED,
    ADJUSTMENT_REJECTION_UNSPECIFIED,
    Availability,
)


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[Inventory]:
    """The service, with nothing in stock."""
    async with running_inventory(new_database("inventory")) as inventory:
        yield inventory


class TestAdjustStock:
    """Counting, line by line."""

    async def test_answers_each_line_before_the_next_is_sent(self, inventory: Inventory) -> None:
        """A scanner at the shelf sees what there is now after every beep."""
        call = inventory.staff.AdjustStock()
        seen = []
        for delta in (5, -2, 10):
            sent = line("TEAPOT", delta)
            await call.write(sent)
            answer = await call.read()
            assert answer == pb.AdjustStockResponse(
                request_id=sent.request_id, accepted=True, availability=answer.availability
            )
            seen.append(answer.availability.on_hand)
        await call.done_writing()
        assert seen == [5, 3, 13]
        assert [answer async for answer in call] == []

    async def test_answers_a_flood_of_lines_in_order(self, inventory: Inventory) -> None:
        """Lines that are sent without waiting are answered in the order they were sent, each with its own sum."""
        lines = [line(sku, 1) for _ in range(500) for sku in ("TEAPOT", "MUG")]
        answers = await inventory.count(*lines)
        assert [answer.request_id for answer in answers] == [each.request_id for each in lines]
        assert [answer.availability.on_hand for answer in answers[::2]] == list(range(1, 501))
        assert await inventory.available("TEAPOT", "MUG") == [(500, 0, 500), (500, 0, 500)]

    async def test_goes_on_after_a_refused_line(self, inventory: Inventory) -> None:
        """A line that cannot be is answered with its refusal, and changes nothing."""
        await inventory.stock(TEAPOT=5)
        await inventory.reserve(new_id(), TEAPOT=3)
        await inventory.count(*(line("GRAIN", 1_000_000) for _ in range(1_000)))
        answers = await inventory.count(
            line("TEAPOT", -3), line("TEAPOT", -2), line("MUG", -1), line("GRAIN", 1), line("MUG", 4)
        )
        assert [(answer.accepted, answer.rejection) for answer in answers] == [
            (False, ADJUSTMENT_REJECTION_STOCK_BELOW_RESERVED),
            (True, ADJUSTMENT_REJECTION_UNSPECIFIED),
            (False, ADJUSTMENT_REJECTION_STOCK_BELOW_RESERVED),
            (False, ADJUSTMENT_REJECTION_STOCK_ABOVE_LIMIT),
            (True, ADJUSTMENT_REJECTION_UNSPECIFIED),
        ]
        assert await inventory.available("TEAPOT", "MUG") == [(3, 3, 0), (4, 0, 4)]

    async def test_line_sent_again_changes_nothing(self, inventory: Inventory) -> None:
        """It gets its first answer, in the same stream or a later one, refused lines too."""
        good, bad = line("TEAPOT", 5), line("TEAPOT", -9)
        first = await inventory.count(good, bad, good)
        await inventory.stock(TEAPOT=100)
        again = await inventory.count(bad, good)
        assert first == [again[1], again[0], again[1]]
        assert await inventory.available("TEAPOT") == [(105, 0, 105)]

    async def test_line_sent_again_under_another_spelling_of_its_id_changes_nothing(self, inventory: Inventory) -> None:
        """Each answer names the line as it was sent, in one stream and from stream to stream."""
        upper = line("TEAPOT", 5, request_id=new_id().upper())
        lower = line("TEAPOT", 5, request_id=upper.request_id.lower())
        answers = [*await inventory.count(upper, lower), *await inventory.count(upper)]
        assert [answer.request_id for answer in answers] == [each.request_id for each in (upper, lower, upper)]
        assert [answer.availability for answer in answers] == [answers[0].availability] * 3
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]

    async def test_refuses_another_line_under_the_same_id(self, inventory: Inventory) -> None:
        """A request id belongs to one line, whichever of its fields differs."""
        first = line("TEAPOT", 5)
        others = [
            line("TEAPOT", 6, request_id=first.request_id),
            line("MUG", 5, request_id=first.request_id),
            line("TEAPOT", 5, request_id=first.request_id, note="stolen"),
        ]
        answers = await inventory.count(first, *others)
        assert [answer.rejection for answer in answers] == [
            ADJUSTMENT_REJECTION_UNSPECIFIED,
            *[ADJUSTMENT_REJECTION_REQUEST_ID_REUSED] * 3,
        ]
        assert [answer.rejection for answer in await inventory.count(*others)] == [
            ADJUSTMENT_REJECTION_REQUEST_ID_REUSED
        ] * 3
        assert await inventory.available("TEAPOT", "MUG") == [(5, 0, 5), (0, 0, 0)]

    async def test_same_line_from_many_streams_counts_once(self, inventory: Inventory) -> None:
        """A scanner that lost its connection sends everything again while the old stream is still at work."""
        lines = [line("TEAPOT", 1) for _ in range(50)]
        answers = await asyncio.gather(*(inventory.count(*lines) for _ in range(4)))
        assert answers == [answers[0]] * len(answers)
        assert await inventory.available("TEAPOT") == [(50, 0, 50)]

    async def test_race_for_a_request_id_has_one_winner(self, inventory: Inventory) -> None:
        """Different lines under one id, sent at the same moment: one is stored, the others are told."""
        request_id = new_id()
        answers = await asyncio.gather(*(inventory.count(line(f"SKU-{n}", 1, request_id=request_id)) for n in range(8)))
        reasons = sorted(answer.rejection for (answer,) in answers)
        assert reasons == [ADJUSTMENT_REJECTION_UNSPECIFIED, *[ADJUSTMENT_REJECTION_REQUEST_ID_REUSED] * 7]

    async def test_malformed_line_ends_the_stream_after_those_before_it(self, inventory: Inventory) -> None:
        """The caller is told what is wrong with the line, and the lines before it stay stored."""
        call = inventory.staff.AdjustStock(iter([line("TEAPOT", 5), line("TEAPOT", 0), line("TEAPOT", 7)]))
        assert (await call.read()).accepted
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await call.read()
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]

    async def test_refuses_malformed_lines(self, inventory: Inventory) -> None:
        """Nothing reaches the database that it could not hold."""
        for malformed in (
            line("", 1),
            line("TEA POT", 1),
            line("T" * 33, 1),
            line("TEAPOT", 1_000_001),
            line("TEAPOT", -(2**63)),
            line("TEAPOT", 1, note="\0"),
            line("TEAPOT", 1, note="x" * 201),
            line("TEAPOT", 1, request_id="again"),
        ):
            with refused(errors.InvalidArgument, "REQUEST_INVALID"):
                await inventory.count(malformed)

    async def test_stream_that_is_cancelled_keeps_what_was_answered(self, inventory: Inventory) -> None:
        """Whatever the caller does next, an answered line is stored, and may be sent again."""
        sent = line("TEAPOT", 5)
        call = inventory.staff.AdjustStock()
        await call.write(sent)
        answer = await call.read()
        call.cancel()
        assert await inventory.count(sent) == [answer]
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]

    async def test_tells_when_nothing_is_left(self, inventory: Inventory) -> None:
        """A product is depleted when the last that was free goes out, under a higher version each time."""
        await inventory.stock(TEAPOT=5)
        await inventory.reserve(new_id(), TEAPOT=3)
        for delta in (-2, 1, -1):
            await inventory.count(line("TEAPOT", delta))
        _, first, second = await inventory.facts()
        assert isinstance(first, StockDepleted)
        assert isinstance(second, StockDepleted)
        assert first.aggregate_version < second.aggregate_version

    async def test_is_for_staff(self, inventory: Inventory) -> None:
        """A shopper cannot fill the shelves."""
        with refused(errors.Unauthenticated, "TOKEN_MISSING"):
            _ = [answer async for answer in inventory.anyone.AdjustStock(iter([line("TEAPOT", 1)]))]


class TestGetAvailability:
    """What shoppers see."""

    async def test_answers_in_the_order_asked_for(self, inventory: Inventory) -> None:
        """A product that was never counted has nothing on hand, under its one spelling."""
        await inventory.stock(TEAPOT=5, MUG=1)
        response = await inventory.anyone.GetAvailability(pb.GetAvailabilityRequest(skus=["spoon", "TEAPOT", "mug"]))
        assert list(response.availability) == [
            Availability(sku="SPOON"),
            Availability(sku="TEAPOT", on_hand=5, available=5),
            Availability(sku="MUG", on_hand=1, available=1),
        ]

    async def test_refuses_questions_without_bounds(self, inventory: Inventory) -> None:
        """Between one and a hundred products, each once."""
        for skus in ([], ["A", "A"], ["no such sku"], [f"SKU-{n}" for n in range(101)]):
            with refused(errors.InvalidArgument, "REQUEST_INVALID"):
                await inventory.anyone.GetAvailability(pb.GetAvailabilityRequest(skus=skus))
