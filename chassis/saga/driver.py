"""The saga orchestrator: drives sagas through their steps, leased, guarded by a fencing token, and ready to die at any instant.

A saga is begun by the transaction that needs it and driven at once by the process that began it. Whatever is due and
driven by nobody, after a pause or a crash, is claimed by whoever looks first. No transaction is open during a step; each
move is one transaction, which carries what the move means to the service too.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from chassis.core import errors, failpoints, ids, logs, traceparent
from chassis.core.clock import Clock
from chassis.database import Database, Row, Transaction, storable
from chassis.saga import metrics, store
from chassis.saga.definition import Definition
from chassis.saga.errors import FenceLost
from chassis.saga.events import Event, Failed, Refused, Resumed, Succeeded, Wish
from chassis.saga.machine import Direction, Run, State, Transition, advance, begin
from chassis.saga.plan import Plan
from chassis.saga.store import ClaimedSaga, Lease

log = logs.logger(__name__)
T = TypeVar("T")

UNREADABLE_AGAIN = timedelta(seconds=5)
"""When a saga that a process did not understand is offered again, to another one perhaps."""


@dataclass(frozen=True)
class Limits:
    """How much one process takes on, and how long it is believed in when it falls silent."""

    concurrency: int = 64
    lease_seconds: float = 10.0
    poll_seconds: float = 0.2
    drain_seconds: float = 5.0
    measure_seconds: float = 5.0


@dataclass(eq=False)
class _Held(Generic[T]):
    """A saga this process drives."""

    data: T
    transition: Transition
    fence: int
    lease: Lease
    traceparent: str

    @property
    def state(self) -> State:
        return self.transition.state

    @property
    def saga_id(self) -> str:
        return self.state.seed


class Driver(Generic[T]):
    """All sagas of one kind, as far as this process drives them. `run` is a service's background task."""

    def __init__(
        self, database: Database, clock: Clock, definition: Definition[T], limits: Limits | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._definition = definition
        self._limits = limits or Limits()
        self._owner = f"{socket.gethostname()}/{os.getpid()}/{ids.uuid7()}"
        self._held: set[_Held[T]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = False

    @property
    def plan(self) -> Plan:
        """What the machine knows of these sagas."""
        return self._definition.plan

    async def run(self) -> None:
        """Drive what is due until cancelled; then end the steps under way and let go of the rest."""
        self._is_open = True
        chores = {
            asyncio.create_task(self._repeat(self._claim_due, self._limits.poll_seconds)),
            asyncio.create_task(self._repeat(self._renew_leases, self._limits.lease_seconds / 4)),
            asyncio.create_task(self._repeat(self._measure, self._limits.measure_seconds)),
        }
        try:
            ended, _ = await asyncio.wait(chores, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*ended)
        finally:
            self._is_open = False
            await _end(chores)
            await self._drain()

    def start(self, tx: Transaction, saga_id: str, data: T) -> None:
        """Begin a saga with this transaction. It sets out when the transaction has committed."""
        now = self._clock.now()
        transition = begin(self.plan, now, saga_id)
        lease = self._first_lease()
        trace = traceparent.current()
        store.start(tx, self.plan, transition.state, self._definition.to_json(data), lease, trace, now)
        if lease.owner:
            held = _Held(data, transition, store.FIRST_FENCE, lease, trace)
            tx.on_commit(lambda: self._drive_in_task(held))

    async def grant(self, tx: Transaction, saga_id: str, wish: Wish) -> State:
        """Do with a saga what somebody asks for, whoever drives it now. Raises why not."""
        claim = await store.lock(tx, self.plan, saga_id)
        transition = advance(self.plan, claim.state, wish)
        data = self._data(claim)
        lease = self._first_lease() if isinstance(transition.command, Run) else None
        await store.turn(tx, self.plan, transition.state, lease, wish.at)
        await self._record(tx, data, transition)
        if lease and lease.owner:
            held = _Held(data, transition, claim.fence + 1, lease, claim.traceparent)
            tx.on_commit(lambda: self._drive_in_task(held))
        return transition.state

    def _drive_in_task(self, held: _Held[T]) -> None:
        """Drive a saga in a task of its own, which inherits neither the caller's deadline nor its transaction."""
        self._held.add(held)
        task = asyncio.get_running_loop().create_task(self._drive(held), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drive(self, held: _Held[T]) -> None:
        """Step by step until the saga rests, waits or is lost, or this process is to end."""
        traceparent.carry(held.traceparent)
        try:
            while self._is_open and isinstance(held.transition.command, Run):
                await self._step(held, held.transition.command)
        except FenceLost:
            # Somebody else has the saga now.
            metrics.LOST.labels(self.plan.kind).inc()
            log.info("saga_lost", saga_id=held.saga_id)
            self._held.discard(held)
        except Exception:
            log.exception("saga_interrupted", saga_id=held.saga_id)
            await self._release_held([held], after=timedelta(seconds=1))
        else:
            if isinstance(held.transition.command, Run):
                # This process is to end, and has perhaps let go of everything already.
                await self._release_held([held])
            else:
                self._held.discard(held)

    async def _step(self, held: _Held[T], command: Run) -> None:
        place = f"{self.plan.kind}.{command.step.name}"
        place += "" if command.direction is Direction.DO else ".undo"
        event = await self._call(held, command, place)
        await self._move(held, event)
        await failpoints.reach(f"{place}.recorded")

    async def _call(self, held: _Held[T], command: Run, place: str) -> Event:
        """Carry out the command, and say how that went."""
        began = time.perf_counter()
        event = await self._outcome(held, command, place)
        metrics.STEP_SECONDS.labels(
            self.plan.kind, command.step.name, command.direction.value, type(event).__name__.lower()
        ).observe(time.perf_counter() - began)
        return event

    async def _outcome(self, held: _Held[T], command: Run, place: str) -> Event:
        act = self._definition.action(held.state.position, command)
        try:
            await failpoints.reach(f"{place}.before")
            await act(held.data, _request_id(held.state, command))
            await failpoints.reach(f"{place}.after")
        except errors.Problem as problem:
            kind = Failed if problem.is_transient else Refused
            return kind(self._clock.now(), problem.reason, storable(problem.message))
        return Succeeded(self._clock.now())

    async def _move(self, held: _Held[T], event: Event) -> None:
        transition = advance(self.plan, held.state, event)
        moving = store.move(self.plan, transition.state, held.fence, event.at)
        async with self._database.transaction(moving) as tx:
            await self._record(tx, held.data, transition)
        held.transition = transition
        held.fence += 1

    async def _record(self, tx: Transaction, data: T, transition: Transition) -> None:
        await self._definition.record(tx, data, transition)
        if transition.state.status.is_final:
            tx.on_commit(metrics.FINISHED.labels(self.plan.kind, transition.state.status.value).inc)

    async def _claim_due(self) -> None:
        room = self._limits.concurrency - len(self._held)
        if room <= 0:
            return
        now = self._clock.now()
        lease = self._lease()
        async with self._database.read() as reader:
            rows = await store.claim(reader, self.plan, lease, room, now)
        unreadable = [row["saga_id"] for row in rows if not self._resume(row, lease, now)]
        await self._release(unreadable, after=UNREADABLE_AGAIN)

    def _resume(self, row: Row, lease: Lease, now: datetime) -> bool:
        """Drive a saga that was claimed; False if this process does not understand it, as one that is newer may."""
        try:
            claim = store.read_claimed(self.plan, row)
            transition = advance(self.plan, claim.state, Resumed(now))
            held = _Held(self._data(claim), transition, claim.fence, lease, claim.traceparent)
        except Exception:
            log.exception("saga_unreadable", saga_id=row["saga_id"])
            return False
        metrics.CLAIMED.labels(self.plan.kind).inc()
        self._drive_in_task(held)
        return True

    async def _renew_leases(self) -> None:
        """The heartbeat: hold on to what has been held for some time; most sagas are over before that."""
        soon = self._clock.now() + timedelta(seconds=self._limits.lease_seconds * 0.6)
        ageing = [held for held in self._held if held.lease.until < soon]
        if not ageing:
            return
        lease = self._lease()
        async with self._database.read() as reader:
            await store.renew(reader, [held.saga_id for held in ageing], lease)
        for held in ageing:
            held.lease = lease

    async def _measure(self) -> None:
        async with self._database.read() as reader:
            unfinished = await store.count_unfinished(reader, self.plan)
        metrics.show_unfinished(self.plan.kind, unfinished, self._clock.now())

    async def _drain(self) -> None:
        """Let the steps under way end, if they end soon, and give every saga back at once."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._limits.drain_seconds)
            await _end(late)
        await self._release_held(list(self._held))

    async def _release_held(self, sagas: Iterable[_Held[T]], after: timedelta = timedelta()) -> None:
        """Drive them no longer."""
        released = list(sagas)
        self._held.difference_update(released)
        await self._release([held.saga_id for held in released], after)

    async def _release(self, saga_ids: Sequence[str], after: timedelta) -> None:
        """Offer sagas to whoever looks next. Without a database they are offered when their lease ends."""
        if not saga_ids:
            return
        with suppress(errors.TransientProblem):
            async with self._database.read() as reader:
                await store.release(reader, saga_ids, self._owner, self._clock.now() + after)

    async def _repeat(self, chore: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
        while True:
            try:
                await chore()
            except errors.TransientProblem as problem:
                log.warning("saga_chore_failed", chore=chore.__name__, reason=problem.reason)
            await self._clock.sleep(pause_seconds)

    def _lease(self) -> Lease:
        return Lease(self._owner, self._clock.now() + timedelta(seconds=self._limits.lease_seconds))

    def _first_lease(self) -> Lease:
        """For a saga that sets out now: ours, or anybody's if we cannot drive it."""
        return self._lease() if self._has_room() else Lease(None, self._clock.now())

    def _has_room(self) -> bool:
        return self._is_open and len(self._held) < self._limits.concurrency

    def _data(self, claim: ClaimedSaga) -> T:
        if claim.data is None:
            raise TypeError(f"saga {claim.saga_id} has ended; it has forgotten its data")
        return self._definition.from_json(claim.data)


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a statement that is interrupted may answer with an error that hides it."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.1)


def _request_id(state: State, command: Run) -> str:
    """The id that names this call in all its repetitions, whoever makes it."""
    return ids.derived(state.seed, command.step.name, command.direction, str(state.round))
