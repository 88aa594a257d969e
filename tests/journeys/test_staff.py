"""What staff do and see, from the outside."""

from tests.journeys.refusals import refusal
from tests.journeys.world import Person, World, new_id
from tools.importer import retail
from tools.importer.upload import Upload
from tools.paths import ROOT
from tradewind.operations.v1 import saga_service_pb2 as pb
from tradewind.operations.v1.saga_pb2 import SagaState


async def test_a_product_from_its_first_day_to_its_last(world: World, ada: Person) -> None:
    """Created, changed, ordered, retired, and not to be ordered any more."""
    staff, sku = world.staff, await world.sell(price=250)
    etag = (await staff.get(f"/v1/products/{sku}"))["product"]["etag"]
    price = {"currency_code": "GBP", "minor_units": 300}
    change = {"price": price, "update_mask": "price", "etag": etag}
    assert (await staff.send("PATCH", f"/v1/products/{sku}", change)).status_code == 200
    assert refusal(await staff.send("PATCH", f"/v1/products/{sku}", change)) == (409, "ETAG_MISMATCH")
    changes = (await staff.get(f"/v1/products/{sku}/price-changes"))["price_changes"]
    assert [change["price"]["minor_units"] for change in changes] == ["300", "250"]

    assert (await ada.outcome((await ada.place({sku: 1}))["order_id"])).state == "CONFIRMED"
    assert (await staff.send("POST", f"/v1/products/{sku}:retire", {})).status_code == 200
    body = {"items": [{"sku": sku, "quantity": 1}], "payment_token": "tok_approve"}
    assert refusal(await ada.send("POST", "/v1/orders", body)) == (400, "PRODUCT_RETIRED")


async def test_an_order_is_traced_through_every_service(world: World, ada: Person, lantern: str) -> None:
    """Its saga as a story, its reservation, its payment, and the books about it."""
    staff, order_id = world.staff, (await ada.place({lantern: 2}))["order_id"]
    await ada.outcome(order_id)

    saga = await world.saga(order_id)
    assert saga.saga.state == SagaState.SAGA_STATE_COMPLETED
    assert [event.description for event in saga.history] == [
        "started",
        "reserve_stock: done",
        "authorize_payment: done",
        "capture_payment: done",
        "commit_stock: done",
        "completed",
    ]
    reservation = (await staff.get(f"/v1/reservations/{order_id}"))["reservation"]
    assert reservation["state"] == "RESERVATION_STATE_COMMITTED"
    payment = (await staff.get(f"/v1/payments/{order_id}"))["payment"]
    assert payment["state"] == "PAYMENT_STATE_CAPTURED"
    entries = (await staff.get(f"/v1/ledger-entries?order_id={order_id}"))["entries"]
    assert sorted(int(entry["amount"]["minor_units"]) for entry in entries) == [-500, 500]


async def test_staff_see_everybody_s_orders(world: World, ada: Person, eve: Person, lantern: str) -> None:
    """And may narrow them down to one customer's; customers cannot."""
    for person in (ada, eve):
        await person.place({lantern: 1})
    everybody = {order["customer_id"] for order in (await world.staff.get("/v1/orders"))["orders"]}
    hers = (await world.staff.get(f"/v1/orders?customer_id={eve.user_id}"))["orders"]
    assert {ada.user_id, eve.user_id} <= everybody
    assert {order["customer_id"] for order in hers} == {eve.user_id}


async def test_a_finished_saga_is_not_turned(world: World, ada: Person, lantern: str) -> None:
    """Neither tried again nor forced, and the wish needs a reason for the record."""
    order_id = (await ada.place({lantern: 1}))["order_id"]
    await ada.outcome(order_id)

    async def retry(saga_id: str, note: str) -> tuple[str, str]:
        request = pb.RetrySagaRequest(request_id=new_id(), saga_id=saga_id, note=note)
        code, reason, _ = await world.ask_staff("tradewind.operations.v1.SagaService/RetrySaga", request)
        return code, reason

    finished = ("FAILED_PRECONDITION", "SAGA_ALREADY_FINISHED")
    assert await force_backward(world, order_id, "because") == finished
    assert await retry(order_id, "because") == finished
    assert await retry(order_id, "") == ("INVALID_ARGUMENT", "REQUEST_INVALID")
    assert await retry(new_id(), "because") == ("NOT_FOUND", "SAGA_NOT_FOUND")


async def test_a_waiting_order_is_turned_back_by_staff(world: World, ada: Person, lantern: str) -> None:
    """The story tells who did it and why."""
    world.stack.pause("payments")
    order_id = (await ada.place({lantern: 1}))["order_id"]
    try:
        assert await force_backward(world, order_id, "the customer has called") == ("OK", "")
    finally:
        world.stack.resume("payments")
    assert (await ada.outcome(order_id)).state == "CANCELLED"
    assert (await ada.order(order_id))["cancel_reason"] == "CANCEL_REASON_CANCELLED_BY_STAFF"
    story = [event.description for event in (await world.saga(order_id)).history]
    assert any(world.staff.user_id in line and "the customer has called" in line for line in story)


async def force_backward(world: World, saga_id: str, note: str) -> tuple[str, str]:
    """Turn a saga back, past the edge; the code and the reason."""
    direction = pb.SAGA_DIRECTION_BACKWARD
    request = pb.ForceSagaRequest(request_id=new_id(), saga_id=saga_id, direction=direction, note=note)
    code, reason, _ = await world.ask_staff("tradewind.operations.v1.SagaService/ForceSaga", request)
    return code, reason


async def test_a_catalogue_is_imported_once_however_often_it_is_sent(world: World) -> None:
    """By the tool people use, through the edge: the same file gets the first report again."""
    catalogue = retail.read(ROOT / "tools" / "demo" / "catalogue.csv")
    first, again = [
        (await Upload(world.shop.channel, world.staff.token, catalogue, "GBP").run(lambda _: None)).report
        for _ in range(2)
    ]
    assert first.created + first.changed + first.unchanged == len(catalogue.products)
    assert again == first
