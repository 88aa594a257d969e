"""What inventory does: one function each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from services.inventory import publisher, store
from services.inventory.domain import (
    Adjustment,
    Count,
    Locked,
    Move,
    Receipt,
    Reservation,
    ReservationLine,
    ReservationNotFound,
    State,
    Stock,
)
from services.inventory.settings import Settings

SWEPT_TOGETHER: Final = 100


@dataclass(frozen=True, slots=True)
class UseCases:
    """The use cases, over the database they read and the clock they tell time by."""

    database: Database
    clock: Clock
    settings: Settings

    async def reserve(self, tx: Transaction, order_id: str, lines: Sequence[ReservationLine]) -> Reservation:
        """Hold stock for an order, every line or none, for a whole time from now; one that has taken its stock keeps it.

        Raises OutOfStock, ReservationClosed.
        """
        until = self.clock.now() + self.settings.reservation_lifetime
        locked = await store.reserve(tx, order_id, lines, until)
        assert locked is not None  # it is opened if there is none
        if not locked.is_new and locked.reservation.state is State.HELD:
            prolonged = replace(locked.reservation, expires_at=until)
            store.save(tx, [prolonged], [])
            return prolonged
        return self._moved(tx, locked, locked.move(State.HELD, expires_at=until, wanted=lines))

    async def release(self, tx: Transaction, order_id: str) -> Reservation:
        """Give held stock back; from then on the order can hold none, even if it never did.

        Raises ReservationCommitted.
        """
        locked = await store.close(tx, order_id)
        assert locked is not None  # it is closed if there is none
        return self._moved(tx, locked, locked.move(State.RELEASED))

    async def commit(self, tx: Transaction, order_id: str) -> Reservation:
        """Take held stock from the shelf; if it has expired, what is still there.

        Raises ReservationNotFound, ReservationClosed, OutOfStock.
        """
        locked = await store.lock(tx, order_id)
        if locked is None:
            raise ReservationNotFound("nothing was ever reserved for this order", order_id=order_id)
        return self._moved(tx, locked, locked.move(State.COMMITTED))

    def _moved(self, tx: Transaction, locked: Locked, move: Move) -> Reservation:
        """Store a move and tell of it. Raises what stood in its way."""
        move.check()
        if move.is_change:
            store.save(tx, [] if locked.is_new else [move.reservation], move.stock)
            publisher.reservation_moved(tx, move, self.clock.now())
        return move.reservation

    async def get_reservation(self, order_id: str) -> Reservation:
        """The reservation of an order. Raises ReservationNotFound."""
        async with self.database.read() as reader:
            reservation = await store.find_reservation(reader, order_id)
        if reservation is None:
            raise ReservationNotFound("nothing was ever reserved for this order", order_id=order_id)
        return reservation

    async def get_availability(self, skus: Sequence[str]) -> list[Stock]:
        """How much there is of products, in the order asked for: nothing of one that was never counted."""
        async with self.database.read() as reader:
            found = await store.find_stock(reader, skus)
        return [found.get(sku) or Stock(sku=sku) for sku in skus]

    async def adjust(self, adjustments: Sequence[Adjustment]) -> list[Receipt]:
        """Store lines of a count together and answer each of them; a refused line keeps nothing from the others."""

        async def take(tx: Transaction) -> list[Receipt]:
            stock = await store.lock_stock(tx, {each.sku for each in adjustments})
            known = await store.find_receipts(tx, (each.request_id for each in adjustments))
            count = Count(stock, known)
            receipts = [count.take(each) for each in adjustments]
            await store.save_count(tx, count, self.clock.now())
            for each in count.depleted:
                publisher.stock_depleted(tx, each, self.clock.now())
            return receipts

        return await self.database.retrying(take)

    async def expire(self) -> int:
        """Give back some reservations whose time has run out; how many they were."""
        now = self.clock.now()
        async with self.database.transaction() as tx:
            reservations, stock = await store.lock_expired(tx, now, at_most=SWEPT_TOGETHER)
            moves: list[Move] = []
            for reservation in reservations:
                moves.append(Locked(reservation, stock, is_new=False).move(State.EXPIRED))
                stock |= {each.sku: each for each in moves[-1].stock}
                publisher.reservation_moved(tx, moves[-1], now)
            store.save(tx, [move.reservation for move in moves], stock.values())
        return len(moves)

    async def sweep(self) -> None:
        """Give back whatever runs out of time, for as long as the process lives."""
        while True:
            if await self.expire() < SWEPT_TOGETHER:
                await self.clock.sleep(self.settings.sweep_seconds)
