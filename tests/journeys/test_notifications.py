"""Who is told of what, from the fact to the mailbox."""

import httpx

from tests.journeys.refusals import refusal
from tests.journeys.world import Person, World
from tests.waiting import eventually
from tools.demo import mailbox

PATIENCE_SECONDS = 20.0


async def mails(world: World, person: Person, count: int) -> list[str]:
    """The subjects in somebody's mailbox, once there are so many."""
    return [m.subject for m in await mailbox.arrived(world.stack.directory.mail, person.email, count, PATIENCE_SECONDS)]


async def deliveries(person: Person, count: int) -> list[tuple[str, str]]:
    """What somebody was told and how that ended, the newest first, once there are so many."""

    async def told() -> list[tuple[str, str]] | None:
        found = (await person.get("/v1/deliveries"))["deliveries"]
        final = [(d["template"], d["state"]) for d in found if d["state"] != "DELIVERY_STATE_QUEUED"]
        return final if len(final) >= count else None

    return await eventually(told, PATIENCE_SECONDS)


async def test_a_customer_hears_of_what_happens(world: World, lantern: str) -> None:
    """A welcome, and a mail for every order, however it ended; each once. Of two orders, either may be told of first."""
    customer = await world.customer("Hedy")
    for card in ("tok_approve", "tok_decline"):
        await customer.outcome((await customer.place({lantern: 1}, card))["order_id"])
    welcome, *of_orders = await mails(world, customer, 3)
    assert "Welcome" in welcome
    assert sorted(subject.rpartition(" ")[2] for subject in of_orders) == ["cancelled", "confirmed"]


async def test_who_does_not_want_to_hear_does_not(world: World, lantern: str) -> None:
    """A muted topic is suppressed, and the list says so; what comes after it is unmuted is sent."""
    customer = await world.customer("Muted")
    muted = await customer.send("PUT", "/v1/preferences", {"muted_topics": ["TOPIC_ORDERS"]})
    assert muted.status_code == 200, muted.text
    await customer.outcome((await customer.place({lantern: 1}))["order_id"])
    assert (await deliveries(customer, 2))[0] == ("TEMPLATE_ORDER_CONFIRMED", "DELIVERY_STATE_SUPPRESSED")

    etag = muted.json()["preferences"]["etag"]
    assert (await customer.send("PUT", "/v1/preferences", {"etag": etag})).status_code == 200
    await customer.outcome((await customer.place({lantern: 1}, "tok_decline"))["order_id"])
    subjects = await mails(world, customer, 2)
    assert [("Welcome" in subject, "cancelled" in subject) for subject in subjects] == [(True, False), (False, True)]


async def test_preferences_are_set_by_whoever_read_them_last(world: World) -> None:
    """And the account topic cannot be muted."""
    customer = await world.customer("Etag")

    async def put(**preferences: object) -> httpx.Response:
        return await customer.send("PUT", "/v1/preferences", preferences)

    etag = (await put(muted_topics=["TOPIC_ORDERS"])).json()["preferences"]["etag"]
    assert (await put(etag=etag)).status_code == 200
    assert refusal(await put(etag=etag)) == (409, "ETAG_MISMATCH")
    assert refusal(await put(muted_topics=["TOPIC_ACCOUNT"])) == (400, "REQUEST_INVALID")
