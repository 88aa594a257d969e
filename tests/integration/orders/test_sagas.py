"""What staff can see of an order's saga, and do when it is stuck."""

from collections.abc import AsyncIterator

import pytest

from chassis.core import errors
from chassis.testing.refusals import refused
from tests.conftest import NewDatabase
from tests.integration.orders.shop import STOCKED, Shop, fault, new_id, steps
from tradewind.operations.v1 import saga_service_pb2 as pb
from tradewind.operations.v1.saga_pb2 import SagaState
from tradewind.orders.v1.order_pb2 import ORDER_STATE_CANCELLED, ORDER_STATE_CONFIRMED, CancelReason


@pytest.fixture
async def stuck_id(shop: Shop) -> str:
    """An order that is paid, but whose stock was given back meanwhile: it cannot be committed."""
    with fault("checkout.commit_stock.before"):
        order_id = (await shop.place()).order_id
        await shop.came_to(order_id, "PAYMENT_CAPTURED")
        await shop.release(order_id)
    saga = await shop.stuck(order_id)
    assert (saga.step, saga.last_reason) == ("commit_stock", "RESERVATION_CLOSED")
    return order_id


def retry(saga_id: str) -> pb.RetrySagaRequest:
    """The wish to have the step tried again."""
    return pb.RetrySagaRequest(request_id=new_id(), saga_id=saga_id, note="mended")


def force(saga_id: str, direction: pb.SagaDirection.ValueType) -> pb.ForceSagaRequest:
    """The wish to turn a saga by hand."""
    return pb.ForceSagaRequest(request_id=new_id(), saga_id=saga_id, direction=direction, note="decided")


async def test_a_saga_is_explained_as_a_story(shop: Shop) -> None:
    """From its start to its end."""
    order = await shop.ended((await shop.place(payment_token="tok_decline")).order_id)

    assert await shop.story(order.order_id) == [
        "started",
        "reserve_stock: done",
        "authorize_payment: refused (PAYMENT_DECLINED: the payment provider declined)",
        "reserve_stock: undone",
        "compensated: nothing of it remains",
    ]


async def test_sagas_are_listed_by_state_the_oldest_first(shop: Shop) -> None:
    """Page after page, among those of all the other orders."""
    confirmed = [(await shop.ended((await shop.place()).order_id)).order_id for _ in range(3)]
    declined = (await shop.ended((await shop.place(payment_token="tok_decline")).order_id)).order_id

    completed = await listed(shop, SagaState.SAGA_STATE_COMPLETED)
    assert [saga_id for saga_id in completed if saga_id in confirmed] == confirmed
    assert completed == sorted(completed)
    assert declined not in completed
    assert declined in await listed(shop, SagaState.SAGA_STATE_COMPENSATED)
    assert {declined, *confirmed} <= set(await listed(shop, SagaState.SAGA_STATE_UNSPECIFIED))


async def listed(shop: Shop, state: SagaState.ValueType) -> list[str]:
    """The sagas in that state, in small pages."""
    request, seen = pb.ListSagasRequest(state=state, page_size=2), list[str]()
    while True:
        page = await shop.sagas().ListSagas(request)
        seen += [saga.saga_id for saga in page.sagas]
        if not page.next_page_token:
            return seen
        request.page_token = page.next_page_token


async def test_a_stuck_saga_is_tried_again_at_somebodys_wish(shop: Shop, stuck_id: str) -> None:
    """Really tried: inventory is asked anew, not for the refusal it keeps. Here it refuses anew, too."""
    answer = await shop.sagas().RetrySaga(retry(stuck_id))
    await shop.stuck(stuck_id)

    assert answer.saga.state == SagaState.SAGA_STATE_RUNNING
    story = await shop.story(stuck_id)
    assert [line.partition(" (")[0] for line in story[-2:]] == [story[-2].partition(" (")[0], "commit_stock: refused"]
    async with shop.services["inventory"].database.read() as reader:
        asked = await reader.all(
            "SELECT request_id FROM request WHERE method LIKE '%%/CommitStock' AND refusal IS NOT NULL"
        )
    assert len(asked) >= 2


async def test_a_stuck_saga_is_completed_on_somebodys_word(shop: Shop, stuck_id: str) -> None:
    """The goods were taken from the shelf by hand, so the order is confirmed."""
    await shop.sagas().ForceSaga(force(stuck_id, pb.SAGA_DIRECTION_FORWARD))
    responses = await shop.watch(stuck_id)

    assert steps(responses)[-2:] == ["STOCK_COMMITTED", "CONFIRMED"]
    assert (await shop.get(stuck_id)).state == ORDER_STATE_CONFIRMED


async def test_a_stuck_saga_is_turned_back_even_after_the_payment(shop: Shop, stuck_id: str) -> None:
    """The customer gets the money back."""
    await shop.sagas().ForceSaga(force(stuck_id, pb.SAGA_DIRECTION_BACKWARD))
    order = await shop.ended(stuck_id)

    assert order.state == ORDER_STATE_CANCELLED
    assert order.cancel_reason == CancelReason.CANCEL_REASON_CANCELLED_BY_STAFF
    assert await shop.payment(stuck_id) == "REFUNDED"
    assert sum(entry.amount.minor_units for entry in await shop.ledger(stuck_id)) == 0


async def test_a_saga_that_another_process_drives_is_turned_back_all_the_same(
    shop: Shop, new_database: NewDatabase
) -> None:
    """The process that took the order, and is asked, remembers it as it was before."""
    async with shop.with_orders_of_its_own(new_database("orders"), saga_concurrency="0") as taking, taking.another():
        with fault("checkout.authorize_payment.before"):
            order_id = (await taking.place()).order_id
            await taking.came_to(order_id, "STOCK_RESERVED")
            await taking.sagas().ForceSaga(force(order_id, pb.SAGA_DIRECTION_BACKWARD))
            order = await taking.ended(order_id)

    assert order.state == ORDER_STATE_CANCELLED


async def test_a_saga_is_not_completed_by_force_before_it_is_paid(shop: Shop) -> None:
    """The order would be confirmed without its money."""
    with fault("checkout.reserve_stock.before"):
        order_id = (await shop.place()).order_id
        with refused(errors.FailedPrecondition, "SAGA_FORCE_NOT_POSSIBLE"):
            await shop.sagas().ForceSaga(force(order_id, pb.SAGA_DIRECTION_FORWARD))


@pytest.mark.parametrize("note", ["", "a\0b", "x" * 501])
async def test_a_note_that_cannot_be_kept_is_refused(shop: Shop, stuck_id: str, note: str) -> None:
    """The saga stays as it is, and its story too."""
    story = await shop.story(stuck_id)
    retrying, forcing = retry(stuck_id), force(stuck_id, pb.SAGA_DIRECTION_FORWARD)
    retrying.note = forcing.note = note
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await shop.sagas().RetrySaga(retrying)
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await shop.sagas().ForceSaga(forcing)
    assert await shop.story(stuck_id) == story


async def test_a_saga_that_has_ended_or_never_was_is_left_alone(shop: Shop) -> None:
    """The reason says which."""
    order = await shop.ended((await shop.place()).order_id)

    with refused(errors.FailedPrecondition, "SAGA_ALREADY_FINISHED"):
        await shop.sagas().RetrySaga(retry(order.order_id))
    with refused(errors.NotFound, "SAGA_NOT_FOUND"):
        await shop.sagas().RetrySaga(retry(new_id()))
    assert await shop.stock() == (STOCKED - 1, 0)


@pytest.fixture
async def of_a_newer_version(shop: Shop, new_database: NewDatabase) -> AsyncIterator[tuple[Shop, list[str]]]:
    """A shop whose orders are served by the version before, and its sagas: two of a newer one, and one to be read."""
    async with shop.with_orders_of_its_own(new_database("orders")) as its_own:
        saga_ids = [(await its_own.ended((await its_own.place()).order_id)).order_id for _ in range(3)]
        async with its_own.services["orders"].database.read() as reader:
            step = """UPDATE saga SET state = jsonb_set(state, '{step}', '"wrap_gift"') WHERE saga_id = %(id)s"""
            await reader.execute(step, id=saga_ids[0])
            await reader.execute("UPDATE saga SET kind = 'return' WHERE saga_id = %(id)s", id=saga_ids[1])
        yield its_own, saga_ids


async def test_a_saga_of_a_newer_version_is_shown_as_unreadable_among_the_others(
    of_a_newer_version: tuple[Shop, list[str]],
) -> None:
    """A rollback leaves such rows behind: a step or a whole kind nobody here knows. The others are shown as usual."""
    shop, saga_ids = of_a_newer_version
    for state in (SagaState.SAGA_STATE_UNSPECIFIED, SagaState.SAGA_STATE_COMPLETED):
        page = await shop.sagas().ListSagas(pb.ListSagasRequest(state=state))
        told = [(saga.saga_id, saga.kind, saga.unreadable, saga.step) for saga in page.sagas]
        assert told == [
            (saga_ids[0], "checkout", True, ""),
            (saga_ids[1], "return", True, ""),
            (saga_ids[2], "checkout", False, "commit_stock"),
        ]
        assert {saga.state for saga in page.sagas} == {SagaState.SAGA_STATE_COMPLETED}


async def test_an_unreadable_saga_is_left_to_those_who_can_read_it(
    of_a_newer_version: tuple[Shop, list[str]],
) -> None:
    """It has no story here, and nobody turns it here."""
    shop, saga_ids = of_a_newer_version
    for saga_id in saga_ids[:2]:
        assert await shop.story(saga_id) == []
        with refused(errors.FailedPrecondition, "SAGA_UNREADABLE"):
            await shop.sagas().RetrySaga(retry(saga_id))
        with refused(errors.FailedPrecondition, "SAGA_UNREADABLE"):
            await shop.sagas().ForceSaga(force(saga_id, pb.SAGA_DIRECTION_BACKWARD))
