"""The promises made of every order, held against what is kept of it: each breach in a sentence."""

from collections.abc import Collection, Iterator, Sequence

from chassis.saga.machine import Status
from tests.chaos.records import Fact, Records, Row, Trail, state_of
from tests.waiting import until_nothing

SAGA_OF = {"CONFIRMED": Status.COMPLETED, "CANCELLED": Status.COMPENSATED}
LETTER_OF = {"CONFIRMED": "order_confirmed", "CANCELLED": "order_cancelled"}
LAST_FACT_OF = {"CONFIRMED": "OrderConfirmed", "CANCELLED": "OrderCancelled"}
HOLDS_NOTHING = ("VOIDED", "REFUNDED", "DECLINED")


async def hold(records: Records, accepted: Collection[str], skus: Collection[str]) -> dict[str, str]:
    """Wait until all has come to rest, then fail with every breach; the state of every order of these products.

    `accepted` are the orders that customers were told of.
    """
    await until_nothing(lambda: records.unrest(skus))
    trails = await records.trails(skus)
    breaches = [
        *_unkept(trails, accepted),
        *(breach for trail in trails for breach in _breaches(trail, records)),
        *(breach for stock in await records.stock(skus) for breach in _lost_stock(stock)),
        *await records.dead_letters(),
    ]
    assert not breaches, "\n".join(["", *breaches])
    return {trail.order["order_id"]: trail.order["state"] for trail in trails}


def _unkept(trails: Sequence[Trail], accepted: Collection[str]) -> Iterator[str]:
    """What was accepted exists, once; nothing else does."""
    known = {trail.order["order_id"] for trail in trails}
    yield from (f"order {order_id} was accepted and is gone" for order_id in set(accepted) - known)
    yield from (f"order {order_id} exists, and nobody was told of it" for order_id in known - set(accepted))


def _breaches(trail: Trail, records: Records) -> Iterator[str]:
    rules = (_ends, _is_charged_once_or_not_at_all, _is_booked_as_charged, _takes_its_stock_or_none, _is_told_in_order)
    name = f"order {trail.order['order_id']} is {trail.order['state']}, but"
    yield from (f"{name} {breach}" for rule in rules for breach in rule(trail))
    yield from (f"{name} {breach}" for breach in _is_written_of_once(trail, records))


def _ends(trail: Trail) -> Iterator[str]:
    """It is final, and its events, its projection and its saga agree."""
    order = trail.order
    if order["saga"] != SAGA_OF.get(order["state"]):
        yield f"its saga is {order['saga']}"
    if order["steps"][-1] != order["state"]:
        yield f"its last event is {order['steps'][-1]}"
    if len(order["steps"]) != order["version"] or len(set(order["steps"])) != order["version"]:
        yield f"at version {order['version']} its events are {order['steps']}"


def _is_charged_once_or_not_at_all(trail: Trail) -> Iterator[str]:
    """At the provider, whose word is the customer's bank statement; no hold is left behind either."""
    times, state = (trail.charge.times_charged, state_of(trail.charge)) if trail.charge else (0, "")
    if times != (1 if trail.order["state"] == "CONFIRMED" else 0):
        yield f"the provider charged it {times} times"
    if trail.charge and times and trail.charge.amount.minor_units != trail.order["total"]:
        yield f"the provider took {trail.charge.amount.minor_units} instead of {trail.order['total']}"
    if trail.charge and not times and state not in HOLDS_NOTHING:
        yield f"the provider's charge is {state}"


def _is_booked_as_charged(trail: Trail) -> Iterator[str]:
    """The ledger nets to zero, and tells what the provider tells."""
    payment = trail.payment or {"state": "", "net": 0, "booked": None}
    booked: dict[str, int] = payment["booked"] or {}
    if payment["net"]:
        yield f"its ledger entries add up to {payment['net']}"
    if any(amount != trail.order["total"] for amount in booked.values()):
        yield f"{booked} was booked instead of {trail.order['total']}"
    if booked.keys() != {"CAPTURED": {"capture"}, "REFUNDED": {"capture", "refund"}}.get(state_of(trail.charge), set()):
        yield f"booked is {booked}, while the provider's charge is {state_of(trail.charge) or 'unknown'}"
    if trail.charge and payment["state"].upper() != state_of(trail.charge):
        yield f"its payment is {payment['state']}, while the provider's charge is {state_of(trail.charge)}"


def _takes_its_stock_or_none(trail: Trail) -> Iterator[str]:
    """All lines have left the shelf, or none."""
    state, held = (trail.reservation["state"], trail.reservation["held"]) if trail.reservation else ("none", None)
    if (state == "committed") != (trail.order["state"] == "CONFIRMED"):
        yield f"its reservation is {state}"
    if state == "held":
        yield f"it still holds {held}"
    if state == "committed" and held != trail.order["wanted"]:
        yield f"{held} left the shelf instead of {trail.order['wanted']}"


def _is_told_in_order(trail: Trail) -> Iterator[str]:
    """Every stream tells every fact once or, under the same id, again, and in the order of the versions."""
    for stream, facts in trail.facts.items():
        if [fact.version for fact in _told(facts)] != list(range(1, len(_told(facts)) + 1)):
            yield f"{stream} tells {[f'{fact.name}/{fact.version}' for fact in facts]}"
    names = [fact.name for fact in _told(trail.facts["ORDERS"])]
    if names != ["OrderPlaced", LAST_FACT_OF.get(trail.order["state"])]:
        yield f"the world was told {names}"
    kept = {"PAYMENTS": trail.payment, "INVENTORY": trail.reservation}
    for stream, row in kept.items():
        if len(_told(trail.facts[stream])) != (row["version"] if row else 0):
            yield f"{stream} tells {len(_told(trail.facts[stream]))} facts of {row}"


def _is_written_of_once(trail: Trail, records: Records) -> Iterator[str]:
    """Its customer got one mail, the right one."""
    letters = [(delivery["template"], delivery["state"]) for delivery in trail.deliveries]
    if letters != [(LETTER_OF.get(trail.order["state"]), "sent")]:
        yield f"its customer was written {letters}"
    if not all(records.has_mail(delivery["delivery_id"]) for delivery in trail.deliveries):
        yield "its mail did not arrive"


def _lost_stock(stock: Row) -> Iterator[str]:
    """What came in lies there or has left for an order; nothing is promised to anybody any more."""
    if stock["on_hand"] + stock["committed"] != stock["counted"]:
        yield f"of {stock['counted']} {stock['sku']}, {stock['on_hand']} are there and {stock['committed']} left"
    if stock["reserved"]:
        yield f"{stock['reserved']} {stock['sku']} are reserved, though every order has ended"


def _told(facts: Sequence[Fact]) -> list[Fact]:
    """The facts without what was delivered again."""
    return list({fact.event_id: fact for fact in facts}.values())
