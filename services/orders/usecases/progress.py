"""What happens to orders: stored as events, told as facts, and shown to whoever watches."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from chassis.database import Transaction
from services.orders import publisher, store
from services.orders.domain import OrderNotFound, OrderState, OrderStep, Progress

_FACTS = {OrderState.CONFIRMED: publisher.order_confirmed, OrderState.CANCELLED: publisher.order_cancelled}


class ProgressLog:
    """Appends to orders' events. Watchers in this process are woken as soon as something was committed."""

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def record(
        self, tx: Transaction, order_id: str, steps: Sequence[tuple[OrderStep, str]], now: datetime
    ) -> None:
        """Let these steps happen to an order, each with its reason. Nobody else may move the order meanwhile."""
        order = await store.find(tx, order_id)
        if order is None:
            raise OrderNotFound("there is no such order", order_id=order_id)
        happened: list[Progress] = []
        for step, reason in steps:
            happened.append(order.next(step, reason, now))
            order = order.after(happened[-1])
        store.append(tx, order, happened)
        if fact := _FACTS.get(order.state):
            fact(tx, order)
        tx.on_commit(lambda: self._wake(order_id))

    @contextmanager
    def watched(self, order_id: str) -> Iterator["Watch"]:
        """Learns, within the block, when something happens to the order."""
        happened = asyncio.Event()
        self._watchers[order_id].add(happened)
        try:
            yield Watch(happened)
        finally:
            self._watchers[order_id].discard(happened)
            if not self._watchers[order_id]:
                del self._watchers[order_id]

    def _wake(self, order_id: str) -> None:
        for happened in self._watchers.get(order_id, ()):
            happened.set()


class Watch:
    """Somebody who waits for something to happen to an order."""

    def __init__(self, happened: asyncio.Event) -> None:
        self._happened = happened

    async def wait(self, seconds: float) -> None:
        """Returns when something happened since the last time, or when it is time to look what other processes did."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._happened.wait()
        self._happened.clear()
