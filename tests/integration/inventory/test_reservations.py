"""What orders may rely on when they ask inventory to hold stock for them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, timedelta

import pytest

from chassis.core import errors
from chassis.testing.refusals import Refusal, refused
from tests.conftest import NewDatabase
from tests.integration.inventory.client import Inventory, new_id, running_inventory
from tradewind.inventory.v1.stock_events_pb2 import StockCommitted, StockDepleted, StockReleased, StockReserved
from tradewind.inventory.v1.stock_pb2 import (
    RESERVATION_STATE_COMMITTED,
    RESERVATION_STATE_EXPIRED,
    RESERVATION_STATE_HELD,
    RESERVATION_STATE_RELEASED,
    Reservation,
)


@pytest.fixture
async def inventory(new_database: NewDatabase) -> AsyncIterator[Inventory]:
    """The service, with nothing in stock."""
    async with running_inventory(new_database("inventory")) as inventory:
        yield inventory


def told(refusal: Refusal) -> set[tuple[str, str, str]]:
    """What stood in the way, by its type and subject."""
    assert isinstance(refusal.problem, errors.FailedPrecondition)
    return {(each.type, each.subject, each.description) for each in refusal.problem.obstacles}


class TestReserve:
    """Holding stock for an order."""

    async def test_holds_every_line(self, inventory: Inventory) -> None:
        """What is held is no longer available, and the world is told."""
        await inventory.stock(TEAPOT=5, MUG=9)
        order_id = new_id()
        reservation = await inventory.reserve(order_id, TEAPOT=2, MUG=1)
        assert reservation.state == RESERVATION_STATE_HELD
        assert [(each.sku, each.quantity) for each in reservation.lines] == [("MUG", 1), ("TEAPOT", 2)]
        assert reservation.expire_time.ToDatetime(UTC) - inventory.clock.now() == timedelta(minutes=15)
        assert await inventory.available("TEAPOT", "MUG") == [(5, 2, 3), (9, 1, 8)]
        (fact,) = await inventory.facts()
        assert fact == StockReserved(
            order_id=order_id,
            aggregate_version=1,
            lines=reservation.lines,
            expire_time=reservation.expire_time,
            occur_time=inventory.clock.now(),
        )

    async def test_holds_nothing_when_one_line_falls_short(self, inventory: Inventory) -> None:
        """The rejection names every SKU that falls short, and how much of it is available."""
        await inventory.stock(TEAPOT=5, MUG=9)
        order_id = new_id()
        with refused(errors.FailedPrecondition, "OUT_OF_STOCK") as rejection:
            await inventory.reserve(order_id, TEAPOT=6, MUG=9, SPOON=1)
        assert told(rejection) == {("OUT_OF_STOCK", "TEAPOT", "5 available"), ("OUT_OF_STOCK", "SPOON", "0 available")}
        assert await inventory.available("TEAPOT", "MUG", "SPOON") == [(5, 0, 5), (9, 0, 9), (0, 0, 0)]
        assert await inventory.facts() == []
        with refused(errors.NotFound, "RESERVATION_NOT_FOUND"):
            await inventory.state(order_id)

    async def test_may_be_tried_again_once_stock_came_in(self, inventory: Inventory) -> None:
        """An order that was refused may ask again under another request id."""
        await inventory.stock(TEAPOT=1)
        order_id = new_id()
        with refused(errors.FailedPrecondition, "OUT_OF_STOCK"):
            await inventory.reserve(order_id, TEAPOT=2)
        await inventory.stock(TEAPOT=1)
        await inventory.reserve(order_id, TEAPOT=2)
        assert await inventory.available("TEAPOT") == [(2, 2, 0)]

    async def test_same_request_again_is_answered_the_same(self, inventory: Inventory) -> None:
        """A caller that missed the answer gets it again, and nothing is held twice."""
        await inventory.stock(TEAPOT=5)
        order_id, request_id = new_id(), new_id()
        first = await inventory.reserve(order_id, request_id, TEAPOT=2)
        assert await inventory.reserve(order_id, request_id, TEAPOT=2) == first
        assert await inventory.available("TEAPOT") == [(5, 2, 3)]

    async def test_same_request_with_other_lines_is_refused(self, inventory: Inventory) -> None:
        """A request id belongs to one content."""
        await inventory.stock(TEAPOT=5)
        order_id, request_id = new_id(), new_id()
        await inventory.reserve(order_id, request_id, TEAPOT=2)
        with refused(errors.FailedPrecondition, "REQUEST_ID_REUSED"):
            await inventory.reserve(order_id, request_id, TEAPOT=3)

    async def test_an_order_has_one_reservation(self, inventory: Inventory) -> None:
        """Whoever reserves for the order again, at once or later, gets the reservation it has."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        answers = await asyncio.gather(*(inventory.reserve(order_id, TEAPOT=2) for _ in range(8)))
        assert await inventory.reserve(order_id, TEAPOT=2) == answers[0]
        assert answers == [answers[0]] * len(answers)
        assert await inventory.available("TEAPOT") == [(5, 2, 3)]
        assert len(await inventory.facts()) == 1

    async def test_an_order_that_asks_again_is_held_for_a_whole_time_more(self, inventory: Inventory) -> None:
        """Nothing else changes, and nobody is told."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        first = await inventory.reserve(order_id, TEAPOT=2)
        await inventory.clock.advance(600)
        again = await inventory.reserve(order_id, TEAPOT=2)
        assert again.expire_time.ToSeconds() == first.expire_time.ToSeconds() + 600
        assert await inventory.reservation(order_id) == again
        assert await inventory.available("TEAPOT") == [(5, 2, 3)]
        assert len(await inventory.facts()) == 1

    async def test_one_of_two_gets_the_last_piece(self, inventory: Inventory) -> None:
        """Exactly one wins; the other is told that none is left."""
        await inventory.stock(TEAPOT=1)
        outcomes = await asyncio.gather(
            *(inventory.reserve(new_id(), TEAPOT=1) for _ in range(2)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AioRpcError", "Reservation"]
        assert await inventory.available("TEAPOT") == [(1, 1, 0)]

    async def test_tells_of_the_last_piece(self, inventory: Inventory) -> None:
        """A product is depleted when the last of it is held, and not when it already was."""
        await inventory.stock(TEAPOT=2, MUG=5)
        await inventory.reserve(new_id(), TEAPOT=2, MUG=1)
        _, depleted = await inventory.facts()
        assert isinstance(depleted, StockDepleted)
        assert depleted.sku == "TEAPOT"

    async def test_spells_skus_in_upper_case(self, inventory: Inventory) -> None:
        """`teapot` is no other product than `TEAPOT`, and stands in one line only."""
        await inventory.stock(teapot=3)
        reservation = await inventory.reserve(new_id(), TeaPot=1)
        assert [each.sku for each in reservation.lines] == ["TEAPOT"]
        assert await inventory.available("TEAPOT") == [(3, 1, 2)]
        with refused(errors.InvalidArgument, "REQUEST_INVALID"):
            await inventory.reserve(new_id(), teapot=1, TEAPOT=1)

    async def test_refuses_a_quantity_nobody_can_mean(self, inventory: Inventory) -> None:
        """A quantity is between one and a million."""
        for quantity in (0, -1, 1_000_001, 2**63 - 1):
            with refused(errors.InvalidArgument, "REQUEST_INVALID"):
                await inventory.reserve(new_id(), TEAPOT=quantity)


class TestRelease:
    """Giving held stock back."""

    async def test_makes_stock_available_again(self, inventory: Inventory) -> None:
        """What was held is for sale, and the world is told."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        reservation = await inventory.release(order_id)
        assert reservation.state == RESERVATION_STATE_RELEASED
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]
        _, fact = await inventory.facts()
        assert fact == StockReleased(
            order_id=order_id, aggregate_version=2, lines=reservation.lines, occur_time=inventory.clock.now()
        )

    async def test_happens_once(self, inventory: Inventory) -> None:
        """However many ask for it, at once or later, stock is given back once."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        await asyncio.gather(*(inventory.release(order_id) for _ in range(8)))
        assert (await inventory.release(order_id)).state == RESERVATION_STATE_RELEASED
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]
        assert len(await inventory.facts()) == 2

    async def test_before_reserve_closes_the_order(self, inventory: Inventory) -> None:
        """An undo may overtake what it undoes: a late ReserveStock, and a late CommitStock, find the reservation closed."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        assert await inventory.release(order_id) == Reservation(order_id=order_id, state=RESERVATION_STATE_RELEASED)
        with refused(errors.FailedPrecondition, "RESERVATION_CLOSED"):
            await inventory.reserve(order_id, TEAPOT=2)
        with refused(errors.FailedPrecondition, "RESERVATION_CLOSED"):
            await inventory.commit(order_id)
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]
        (fact,) = await inventory.facts()
        assert fact == StockReleased(order_id=order_id, aggregate_version=1, occur_time=inventory.clock.now())

    async def test_race_with_reserve_ends_with_nothing_held(self, inventory: Inventory) -> None:
        """Whichever comes first, an order that was released holds nothing."""
        await inventory.stock(TEAPOT=50)
        order_ids = [new_id() for _ in range(20)]
        attempts = [
            attempt for id_ in order_ids for attempt in (inventory.reserve(id_, TEAPOT=1), inventory.release(id_))
        ]
        await asyncio.gather(*attempts, return_exceptions=True)
        assert await inventory.available("TEAPOT") == [(50, 0, 50)]
        assert {await inventory.state(id_) for id_ in order_ids} == {RESERVATION_STATE_RELEASED}

    async def test_comes_too_late_for_committed_stock(self, inventory: Inventory) -> None:
        """What has left the shelf cannot be given back."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        await inventory.commit(order_id)
        with refused(errors.FailedPrecondition, "RESERVATION_COMMITTED"):
            await inventory.release(order_id)
        assert await inventory.available("TEAPOT") == [(3, 0, 3)]


class TestCommit:
    """Taking held stock from the shelf."""

    async def test_takes_stock_from_the_shelf(self, inventory: Inventory) -> None:
        """What was held is neither on hand nor reserved any more, and the world is told."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        reservation = await inventory.commit(order_id)
        assert reservation.state == RESERVATION_STATE_COMMITTED
        assert await inventory.available("TEAPOT") == [(3, 0, 3)]
        _, fact = await inventory.facts()
        assert fact == StockCommitted(
            order_id=order_id, aggregate_version=2, lines=reservation.lines, occur_time=inventory.clock.now()
        )

    async def test_happens_once(self, inventory: Inventory) -> None:
        """However many ask for it, at once or later, stock is taken once."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        await asyncio.gather(*(inventory.commit(order_id) for _ in range(8)))
        assert (await inventory.commit(order_id)).state == RESERVATION_STATE_COMMITTED
        assert await inventory.available("TEAPOT") == [(3, 0, 3)]
        assert len(await inventory.facts()) == 2

    async def test_needs_a_reservation(self, inventory: Inventory) -> None:
        """An order that never reserved has nothing to commit."""
        with refused(errors.NotFound, "RESERVATION_NOT_FOUND"):
            await inventory.commit(new_id())

    async def test_of_released_stock_is_refused(self, inventory: Inventory) -> None:
        """What was given back may be somebody else's by now."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        await inventory.release(order_id)
        with refused(errors.FailedPrecondition, "RESERVATION_CLOSED"):
            await inventory.commit(order_id)
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]

    async def test_answers_a_late_reserve_with_what_was_taken(self, inventory: Inventory) -> None:
        """A ReserveStock that was sent again and comes after the CommitStock holds nothing once more."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        committed = await inventory.commit(order_id)
        assert await inventory.reserve(order_id, TEAPOT=2) == committed
        assert await inventory.available("TEAPOT") == [(3, 0, 3)]


class TestExpiry:
    """Stock that nobody commits in time."""

    async def test_gives_stock_back(self, inventory: Inventory) -> None:
        """Once the time has run out the stock is for sale, and the world is told why."""
        await inventory.stock(TEAPOT=5)
        order_id = new_id()
        reservation = await inventory.reserve(order_id, TEAPOT=2)
        await inventory.expire(order_id)
        assert await inventory.state(order_id) == RESERVATION_STATE_EXPIRED
        assert await inventory.available("TEAPOT") == [(5, 0, 5)]
        _, fact = await inventory.facts()
        assert isinstance(fact, StockReleased)
        assert (fact.aggregate_version, fact.expired, fact.lines) == (2, True, reservation.lines)

    async def test_spares_what_is_not_due(self, inventory: Inventory) -> None:
        """A reservation holds until its own time has run out, and a committed one for ever."""
        await inventory.stock(TEAPOT=5)
        early, committed, late = new_id(), new_id(), new_id()
        await inventory.reserve(early, TEAPOT=1)
        await inventory.reserve(committed, TEAPOT=1)
        await inventory.commit(committed)
        await inventory.clock.advance(60)
        await inventory.reserve(late, TEAPOT=1)
        await inventory.expire(early)
        assert await inventory.state(committed) == RESERVATION_STATE_COMMITTED
        assert await inventory.state(late) == RESERVATION_STATE_HELD

    async def test_commit_takes_what_is_still_there(self, inventory: Inventory) -> None:
        """A late CommitStock succeeds, if nobody else has got the stock."""
        await inventory.stock(TEAPOT=2)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        await inventory.expire(order_id)
        assert (await inventory.commit(order_id)).state == RESERVATION_STATE_COMMITTED
        assert await inventory.available("TEAPOT") == [(0, 0, 0)]
        names = [type(fact).__name__ for fact in await inventory.facts()]
        assert names == ["StockReserved", "StockDepleted", "StockReleased", "StockCommitted", "StockDepleted"]

    async def test_commit_is_refused_when_somebody_else_has_the_stock(self, inventory: Inventory) -> None:
        """A late CommitStock takes nothing that is promised to others, not even in part."""
        await inventory.stock(TEAPOT=2, MUG=2)
        late, other = new_id(), new_id()
        await inventory.reserve(late, TEAPOT=2, MUG=1)
        await inventory.expire(late)
        await inventory.reserve(other, TEAPOT=1)
        with refused(errors.FailedPrecondition, "OUT_OF_STOCK") as rejection:
            await inventory.commit(late)
        assert told(rejection) == {("OUT_OF_STOCK", "TEAPOT", "1 available")}
        assert await inventory.available("TEAPOT", "MUG") == [(2, 1, 1), (2, 0, 2)]
        assert await inventory.state(late) == RESERVATION_STATE_EXPIRED

    async def test_reserve_holds_it_again(self, inventory: Inventory) -> None:
        """A ReserveStock that comes again finds its order held, for a whole time more."""
        await inventory.stock(TEAPOT=2)
        order_id = new_id()
        first = await inventory.reserve(order_id, TEAPOT=2)
        await inventory.expire(order_id)
        again = await inventory.reserve(order_id, TEAPOT=2)
        assert (again.state, again.lines) == (RESERVATION_STATE_HELD, first.lines)
        assert again.expire_time.ToSeconds() >= first.expire_time.ToSeconds() + 900
        assert await inventory.available("TEAPOT") == [(2, 2, 0)]

    async def test_release_closes_it(self, inventory: Inventory) -> None:
        """What has expired gives nothing back once more, but can never be held again."""
        await inventory.stock(TEAPOT=2)
        order_id = new_id()
        await inventory.reserve(order_id, TEAPOT=2)
        await inventory.expire(order_id)
        assert (await inventory.release(order_id)).state == RESERVATION_STATE_RELEASED
        assert await inventory.available("TEAPOT") == [(2, 0, 2)]
        with refused(errors.FailedPrecondition, "RESERVATION_CLOSED"):
            await inventory.commit(order_id)
        *_, fact = await inventory.facts()
        assert fact == StockReleased(order_id=order_id, aggregate_version=3, occur_time=inventory.clock.now())

    async def test_of_many_orders_at_once_frees_each_line(self, inventory: Inventory) -> None:
        """One sweep adds up what several orders held of a product; more than fit in one sweep are swept by the next."""
        await inventory.stock(TEAPOT=1000, MUG=1000)
        order_ids = [new_id() for _ in range(120)]
        await inventory.reserve_each(order_ids, TEAPOT=2, MUG=3)
        assert await inventory.available("TEAPOT", "MUG") == [(1000, 240, 760), (1000, 360, 640)]
        await inventory.expire_each(order_ids)
        assert await inventory.available("TEAPOT", "MUG") == [(1000, 0, 1000), (1000, 0, 1000)]
        assert sum(isinstance(fact, StockReleased) for fact in await inventory.facts()) == 120
