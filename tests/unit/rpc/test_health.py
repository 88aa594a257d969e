"""Health: what a process says of itself."""

import asyncio

import pytest
from grpc_health.v1 import health_pb2

from chassis.rpc import health
from chassis.rpc.health import Health

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_loop_that_is_late_is_told_of_as_long_as_it_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told for a moment only, between two looks at the dependencies, nobody would hear of it."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.001)
    monkeypatch.setattr(health, "LONGEST_LOOP_LAG_SECONDS", -1.0)
    told: list[int] = []
    enough = asyncio.Event()

    def tell(_service: str, status: int) -> None:
        told.append(status)
        if len(told) == 4:
            enough.set()

    watched = Health([], {}, {})
    monkeypatch.setattr(watched.servicer, "set", tell)
    watching = asyncio.create_task(watched.watch())
    await enough.wait()
    watching.cancel()
    assert told[:4] == [SERVING, NOT_SERVING, NOT_SERVING, NOT_SERVING]


async def test_a_dependency_that_does_not_answer_counts_as_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen server keeps its connections: waiting for it, a process would go on saying that it serves."""
    monkeypatch.setattr(health, "LONGEST_CHECK_SECONDS", 0.001)
    told: dict[str, int] = {}
    has_told = asyncio.Event()

    def tell(service: str, status: int) -> None:
        told[service] = status
        has_told.set()

    async def hang() -> bool:
        return await asyncio.Event().wait()

    watched = Health([], {"database": hang}, {})
    monkeypatch.setattr(watched.servicer, "set", tell)
    watching = asyncio.create_task(watched.watch())
    await has_told.wait()
    watching.cancel()
    assert told["database"] == NOT_SERVING


class Watcher:
    """One who watches, as gRPC has it served; it takes what it is told at once, or never."""

    def __init__(self, *, reads: bool) -> None:
        self._reads = reads
        self.told: asyncio.Queue[int] = asyncio.Queue()

    async def write(self, answer: health_pb2.HealthCheckResponse) -> None:
        """Returns when it has been taken."""
        self.told.put_nowait(answer.status)
        if not self._reads:
            await asyncio.Event().wait()


async def test_who_watches_without_reading_keeps_nobody_from_being_told() -> None:
    """Nor from draining: anybody who reaches the port can stop reading."""
    watched = Health([], {}, {})
    watched.begin()
    deaf, attentive = Watcher(reads=False), Watcher(reads=True)
    watching = [
        asyncio.create_task(watched.servicer.Watch(health_pb2.HealthCheckRequest(), each)) for each in (deaf, attentive)
    ]
    async with asyncio.timeout(5):
        assert await deaf.told.get() == NOT_SERVING
        assert await attentive.told.get() == NOT_SERVING
        watched.servicer.set("", SERVING)
        assert await attentive.told.get() == SERVING
        watched.drain()
        assert await attentive.told.get() == NOT_SERVING
    for each in watching:
        each.cancel()
