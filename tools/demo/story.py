"""The story: a shop opens, a customer comes, three orders end in three ways."""

import uuid
from pathlib import Path

from tools.client.shop import OrderEvent, Shop
from tools.demo import mailbox
from tools.demo.stage import Stage
from tools.importer import retail
from tools.importer.upload import Upload

CATALOGUE = Path(__file__).parent / "catalogue.csv"

LANTERN, TEA, CLOCK = "10101", "10303", "10417"
DELIVERY = 40
MAILS = ("Welcome", "confirmed", "cancelled", "cancelled")
MAIL_PATIENCE_SECONDS = 20.0


class Story:
    """One telling of it, against one shop, with a customer of its own."""

    def __init__(self, shop: Shop, stage: Stage, mail: Path, staff_email: str, staff_password: str) -> None:
        self._shop = shop
        self._stage = stage
        self._mail = mail
        self._staff = (staff_email, staff_password)
        self._email = f"ada-{uuid.uuid4().hex[:8]}@example.com"

    async def tell(self) -> None:
        """Plays every chapter in turn. Raises NotAsTold, or whatever went wrong."""
        staff = await self._shop.log_in(*self._staff)
        await self._the_shelves_are_filled(staff)
        customer = await self._a_customer_comes()
        confirmed = await self._an_order_is_confirmed(customer)
        declined = await self._a_card_is_declined(customer)
        await self._there_is_not_enough(customer)
        await self._the_mail_goes_out()
        await self._the_books_balance(staff, confirmed, declined)

    async def _the_shelves_are_filled(self, staff: str) -> None:
        self._stage.chapter("A catalogue arrives as a client stream, a delivery as a bidirectional one")
        catalogue = retail.read(CATALOGUE)
        outcome = await Upload(self._shop.channel, staff, catalogue, "GBP").run(lambda _: None)
        report = outcome.report
        unused = len(catalogue.passed_over) + report.rejected
        self._stage.say(
            f"{len(catalogue.products)} products: {report.created} created, {report.changed} changed, "
            f"{report.unchanged} unchanged; {unused} dirty lines passed over"
        )
        if outcome.known_before == len(catalogue.products):
            self._stage.say("(that was on another morning: a catalogue imported before changes nothing)")
        known = {product.sku for product in catalogue.products}
        self._stage.expect({LANTERN, TEA, CLOCK} <= known, "the catalogue holds what the story is about")
        accepted = [
            line.accepted async for line in self._shop.adjust_stock(staff, dict.fromkeys(sorted(known), DELIVERY))
        ]
        self._stage.say(f"{sum(accepted)} lines of stock counted in, each acknowledged on the stream")
        self._stage.expect(len(accepted) == len(known) and all(accepted), "every line of the delivery is accepted")

    async def _a_customer_comes(self) -> str:
        self._stage.chapter("Ada registers and logs in (HTTP, JSON)")
        password = f"correct-{uuid.uuid4().hex}"
        await self._shop.register("Ada", self._email, password)
        token = await self._shop.log_in(self._email, password)
        profile = await self._shop.get("/v1/profile", token)
        self._stage.say(f"logged in as {profile['profile']['display_name']} <{profile['profile']['email']}>")
        self._stage.expect(profile["profile"]["email"] == self._email, "the token speaks for Ada")
        return token

    async def _an_order_is_confirmed(self, customer: str) -> str:
        self._stage.chapter("Two lanterns and a tea caddy: watched as server-sent events")
        before = await self._shop.availability([LANTERN, TEA])
        order = await self._shop.place_order(customer, {LANTERN: 2, TEA: 1}, "tok_approve")
        self._stage.say(f"order {order['order_id']} over {_money(order['total'])} is {_state(order)}")
        seen = await self._stage.follow(self._shop.watch_by_http(customer, order["order_id"]))
        self._stage.expect(seen[-1].state == "CONFIRMED", "the first order is confirmed")
        after = await self._shop.availability([LANTERN, TEA])
        self._stage.expect(
            after == {LANTERN: before[LANTERN] - 2, TEA: before[TEA] - 1}, "what was sold has left the shelf"
        )
        return str(order["order_id"])

    async def _a_card_is_declined(self, customer: str) -> str:
        self._stage.chapter("A ship's clock, and a card that is declined: watched as a gRPC stream")
        before = await self._shop.availability([CLOCK])
        order = await self._shop.place_order(customer, {CLOCK: 1}, "tok_insufficient_funds")
        self._stage.say(f"order {order['order_id']} over {_money(order['total'])} is {_state(order)}")
        seen = await self._stage.follow(self._shop.watch_by_grpc(customer, order["order_id"]))
        self._stage.expect(seen[-1].state == "CANCELLED", "the second order is cancelled")
        self._stage.expect(
            [h.step for h in seen if h.step.startswith("STOCK")] == ["STOCK_RESERVED", "STOCK_RELEASED"],
            "its stock was held and given back",
        )
        self._stage.expect(_why(seen) == "PAYMENT_DECLINED", "the reason is the card")
        self._stage.expect(await self._shop.availability([CLOCK]) == before, "the clock is for sale again")
        return str(order["order_id"])

    async def _there_is_not_enough(self, customer: str) -> None:
        self._stage.chapter("One lantern more than there are")
        left = (await self._shop.availability([LANTERN]))[LANTERN]
        order = await self._shop.place_order(customer, {LANTERN: left + 1}, "tok_approve")
        self._stage.say(f"order {order['order_id']} for {left + 1} of {left} is {_state(order)}")
        seen = await self._stage.follow(self._shop.watch_by_http(customer, order["order_id"]))
        self._stage.expect(seen[-1].state == "CANCELLED", "the third order is cancelled")
        self._stage.expect(_why(seen) == "OUT_OF_STOCK", "the reason is the stock")
        self._stage.expect(await self._shop.availability([LANTERN]) == {LANTERN: left}, "no lantern was held")

    async def _the_mail_goes_out(self) -> None:
        self._stage.chapter("What Ada finds in her mailbox")
        mails = await mailbox.arrived(self._mail, self._email, len(MAILS), MAIL_PATIENCE_SECONDS)
        self._stage.table(("subject", ""), [(mail.subject, mail.first_line) for mail in mails])
        self._stage.expect(len(mails) == len(MAILS), f"{len(MAILS)} mails were sent, one for each thing that happened")

    async def _the_books_balance(self, staff: str, confirmed: str, declined: str) -> None:
        self._stage.chapter("The ledger")
        entries = (await self._shop.get(f"/v1/ledger-entries?order_id={confirmed}", staff))["entries"]
        self._stage.table(
            ("booking", "account", "amount"),
            [
                (
                    e["kind"].removeprefix("BOOKING_KIND_").lower(),
                    e["account"].removeprefix("ACCOUNT_").lower(),
                    _amount(e["amount"]),
                )
                for e in entries
            ],
        )
        self._stage.expect(
            sum(int(e["amount"]["minor_units"]) for e in entries) == 0, "the entries of the order sum to zero"
        )
        self._stage.expect(len(entries) > 0, "the confirmed order is in the books")
        none = (await self._shop.get(f"/v1/ledger-entries?order_id={declined}", staff)).get("entries", [])
        self._stage.expect(not none, "the declined order is not")


def _money(money: dict[str, str]) -> str:
    return f"{int(money['minor_units']) / 100:.2f} {money['currency_code']}"


def _amount(money: dict[str, str]) -> str:
    return f"{int(money['minor_units']) / 100:+.2f} {money['currency_code']}"


def _state(order: dict[str, str]) -> str:
    return order["state"].removeprefix("ORDER_STATE_").lower()


def _why(seen: list[OrderEvent]) -> str:
    """Why an order was cancelled."""
    return next((event.reason for event in seen if event.step == "CANCELLING"), "")
