"""What customers and staff do with orders."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from chassis.core import ids
from chassis.core.clock import Clock
from chassis.database import Database, Reader, Transaction
from chassis.rpc.call import Principal
from chassis.saga.driver import Driver
from chassis.saga.errors import AlreadyCompensating
from chassis.saga.events import CancelAsked
from services.orders import store
from services.orders.domain import (
    Checkout,
    Item,
    Offer,
    Order,
    OrderNotFound,
    OrderState,
    Progress,
    price,
    wanted_items,
)
from services.orders.peers import Peers
from services.orders.usecases.progress import ProgressLog


class Orders:
    """Customers see and cancel their own orders, staff everybody's; to anybody else an order does not exist."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        peers: Peers,
        checkouts: Driver[Checkout],
        progress: ProgressLog,
        *,
        watch_poll_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._peers = peers
        self._checkouts = checkouts
        self._progress = progress
        self._watch_poll_seconds = watch_poll_seconds

    async def find_offers(self, items: Sequence[Item]) -> dict[str, Offer]:
        """What the catalogue says of the items. Raises SkuRepeated."""
        return await self._peers.find_offers([item.sku for item in wanted_items(items)])

    def place_order(
        self,
        tx: Transaction,
        customer: Principal,
        items: Sequence[Item],
        offers: Mapping[str, Offer],
        payment_token: str,
    ) -> Order:
        """Accept an order at the catalogue's prices; its checkout sets out when the transaction has committed.

        Raises ProductsNotFound, ProductsRetired, MixedCurrencies, TotalTooLarge.
        """
        wanted = wanted_items(items)
        lines, total = price(wanted, offers)
        now = self._clock.now()
        order = Order(
            order_id=ids.uuid7(),
            customer_id=customer.subject,
            lines=lines,
            total=total,
            placed_at=now,
            updated_at=now,
        )
        checkout = Checkout(order.order_id, tuple(wanted), total, payment_token, now)
        self._progress.begin(tx, order, checkout)
        self._checkouts.start(tx, order.order_id, checkout)
        return order

    async def cancel_order(self, tx: Transaction, user: Principal, order_id: str) -> Order:
        """Have an order undone; one that is being undone, or is, stays as it is. Raises OrderNotFound, CancelTooLate."""
        order = await self._visible(tx, user, order_id)
        if order.state is OrderState.CANCELLED:
            return order
        by = "CUSTOMER" if order.customer_id == user.subject else "STAFF"
        wish = CancelAsked(self._clock.now(), user.subject, "", reason=f"CANCELLED_BY_{by}")
        with suppress(AlreadyCompensating):
            await self._checkouts.grant(tx, order_id, wish)
        return order

    async def get_order(self, user: Principal, order_id: str) -> Order:
        """One order. Raises OrderNotFound."""
        async with self._database.read() as reader:
            return await self._visible(reader, user, order_id)

    async def list_orders(
        self, user: Principal, *, customer_id: str, state: OrderState | None, before: str | None, limit: int
    ) -> list[Order]:
        """At most `limit` orders before that one, the newest first: the customer's own; for staff, everybody's."""
        whose = customer_id if user.is_staff else user.subject
        async with self._database.read() as reader:
            return await store.page(reader, customer_id=whose, state=state, before=before, limit=limit)

    async def watch_order(self, user: Principal, order_id: str, after_version: int) -> AsyncIterator[Progress]:
        """What happened to an order after that version, and what happens to it until it ends. Raises OrderNotFound."""
        with self._progress.watched(order_id) as watch:
            order, fresh = await self._seen(user, order_id, after_version)
            if order.state.is_final and order.version <= after_version:
                return
            # Nobody has seen what has not happened yet.
            version = min(after_version, order.version)
            while True:
                for progress in fresh:
                    yield progress
                    version = progress.version
                    if progress.step.leads_to.is_final:
                        return
                # What other processes do is not heard here, only read.
                fresh = await watch.after(version, self._watch_poll_seconds)
                fresh = fresh or await self._progress_after(order_id, version)

    async def _seen(self, user: Principal, order_id: str, version: int) -> tuple[Order, Sequence[Progress]]:
        """An order and what has happened to it after that version, as far as it is known here. Raises OrderNotFound."""
        pending = self._progress.pending(order_id)
        # How an order stood here is enough to tell what came after that version, but not that nothing has come since.
        if pending and pending.order.version > version and _may_see(user, pending.order):
            return pending.order, [progress for progress in pending.history if progress.version > version]
        return await self.get_order(user, order_id), await self._progress_after(order_id, version)

    async def _progress_after(self, order_id: str, version: int) -> list[Progress]:
        async with self._database.read() as reader:
            return await store.progress_after(reader, order_id, version)

    async def _visible(self, reader: Reader, user: Principal, order_id: str) -> Order:
        order = await store.find(reader, order_id)
        if order is None or not _may_see(user, order):
            raise OrderNotFound("there is no such order", order_id=order_id)
        return order


def _may_see(user: Principal, order: Order) -> bool:
    return user.is_staff or order.customer_id == user.subject
