"""The demo's story, told to a stack of our own."""

from tests.journeys.world import World, new_id
from tools.demo.stage import Stage
from tools.demo.story import Story


async def test_the_morning_comes_out_as_told(world: World) -> None:
    """One order is confirmed, one declined and undone, one runs out of stock; the mails go out and the books balance.

    None of that is an error to PostgreSQL, nor is a request that is sent again: no ERROR is in its log.
    """
    log = world.stack.directory.log("database")
    before = log.stat().st_size
    email, password = (world.stack.secret("identity", name) for name in ("staff_email", "staff_password"))
    await Story(world.shop, Stage(), world.stack.directory.mail, email, password).tell()
    customer, sku = await world.customer(), await world.sell()
    order = {"request_id": new_id(), "items": [{"sku": sku, "quantity": 1}], "card_token": "tok_approve"}
    first, again = [(await customer.send("POST", "/v1/orders", order)).json() for _ in range(2)]
    assert first == again
    said = log.read_bytes()[before:].decode()
    assert [line for line in said.splitlines() if "ERROR:" in line] == []
