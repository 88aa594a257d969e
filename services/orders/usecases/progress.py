"""What happens to orders: stored as events, told as facts, and shown to whoever watches."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chassis.database import Transaction
from services.orders import publisher, store
from services.orders.domain import Checkout, Order, OrderNotFound, OrderState, OrderStep, Progress

MOST_REMEMBERED: Final = 1_000

_FACTS = {OrderState.CONFIRMED: publisher.order_confirmed, OrderState.CANCELLED: publisher.order_cancelled}


class ProgressLog:
    """Appends to orders' events. Whoever watches in this process is told as soon as something was committed."""

    def __init__(self) -> None:
        self._remembered: dict[str, Pending] = {}
        """What this process has left pending, so that it need not be read again to be shown or moved on."""
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)

    def begin(self, tx: Transaction, order: Order, checkout: Checkout) -> None:
        """Store a new order: its first event."""
        store.place(tx, order)
        publisher.order_placed(tx, order)
        first = Progress(order.version, OrderStep.PLACED, "", order.placed_at)
        tx.on_commit(lambda: self._remember(Pending(checkout, order, (first,))))

    def pending(self, order_id: str) -> "Pending | None":
        """An order that this process has placed and left pending, as it was then. Another may have moved it since."""
        pending = self._remembered.get(order_id)
        return pending if pending and pending.history else None

    async def record(
        self, tx: Transaction, checkout: Checkout, steps: Sequence[tuple[OrderStep, str]], now: datetime
    ) -> None:
        """Let these steps happen to an order, each with its reason. Nobody else may move the order meanwhile."""
        pending = self._remembered.pop(checkout.order_id, None)
        if pending and pending.checkout is not checkout:
            # The saga was let go in between, and its data read again: whoever had it then may have moved the order.
            pending = None
        order = pending.order if pending else await store.find(tx, checkout.order_id)
        if order is None:
            raise OrderNotFound("there is no such order", order_id=checkout.order_id)
        happened: list[Progress] = []
        for step, reason in steps:
            happened.append(order.next(step, reason, now))
            order = order.after(happened[-1])
        store.append(tx, order, happened)
        if fact := _FACTS.get(order.state):
            fact(tx, order)
        history = (*pending.history, *happened) if pending and pending.history else ()
        tx.on_commit(lambda: self._tell(Pending(checkout, order, history), happened))

    @contextmanager
    def watched(self, order_id: str) -> Iterator["Watch"]:
        """Hears, within the block, what this process does to the order."""
        watch = Watch()
        self._watches[order_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[order_id].discard(watch)
            if not self._watches[order_id]:
                del self._watches[order_id]

    def _tell(self, now: "Pending", happened: Sequence[Progress]) -> None:
        self._remember(now)
        for watch in self._watches.get(now.order.order_id, ()):
            watch.hear(happened)

    def _remember(self, now: "Pending") -> None:
        if now.order.state.is_final:
            return
        if len(self._remembered) >= MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[now.order.order_id] = now


@dataclass(frozen=True, slots=True)
class Pending:
    """An order whose end is open."""

    checkout: Checkout
    """The very object by which the saga's driver knows it: as long as it has that one, nobody else moves the order."""
    order: Order
    history: tuple[Progress, ...]
    """All that has happened to it; empty where only how it stands is known."""


class Watch:
    """Somebody who waits for something to happen to an order."""

    def __init__(self) -> None:
        self._heard: list[Progress] = []
        self._has_heard = asyncio.Event()

    def hear(self, happened: Sequence[Progress]) -> None:
        """Something was committed."""
        self._heard.extend(happened)
        self._has_heard.set()

    async def after(self, version: int, seconds: float) -> list[Progress]:
        """What happened after that version; nothing if this process does not know, or nothing happened for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._later_than(version):
                    self._has_heard.clear()
                    await self._has_heard.wait()
        later = self._later_than(version)
        return later if later and later[0].version == version + 1 else []

    def _later_than(self, version: int) -> list[Progress]:
        return [progress for progress in self._heard if progress.version > version]
