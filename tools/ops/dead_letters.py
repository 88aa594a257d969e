"""Lists, shows, redrives and discards the facts that could not take effect."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tools.ops.connection import Connection
from tradewind.operations.v1 import dead_letter_pb2
from tradewind.operations.v1 import dead_letter_service_pb2 as pb
from tradewind.operations.v1.dead_letter_pb2 import DeadLetter, DeadLetterReason, DeadLetterState
from tradewind.operations.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.2
PAGE_SIZE = 200


class DeadLetterCommands:
    """What a person asks of one service's dead letters. Every method tells whether it came out as asked."""

    def __init__(self, connection: Connection, console: Console) -> None:
        self._stub = DeadLetterServiceStub(connection.channel)
        self._ask = connection.ask
        self._console = console

    async def show_all(self) -> bool:
        """A table of those nobody has resolved."""
        letters = [dead async for dead in self._all()]
        self._console.print(_table(letters) if letters else "no dead letters")
        return True

    async def show(self, event_id: str) -> bool:
        """Everything about one."""
        answer = await self._get(event_id)
        self._console.print_json(json.dumps(_described(answer)))
        content = answer.content.event_json or _unreadable(answer.content.unreadable_payload)
        self._console.print(content, highlight=True, markup=False)
        return True

    async def redrive(self, event_id: str) -> bool:
        """Have the service try one again, or all with an empty id, and wait for it; tell whether all took effect."""
        request = pb.RedriveDeadLettersRequest(request_id=str(uuid.uuid4()), event_id=event_id)
        answer = await self._ask(self._stub.RedriveDeadLetters, request)
        if not answer.redriving_count:
            self._console.print("nothing to redrive")
            return True
        unresolved = await self._settled(event_id)
        waiting = sum(dead.state == dead_letter_pb2.DEAD_LETTER_STATE_REDRIVING for dead in unresolved)
        if waiting:
            self._console.print(
                f"{waiting} of {answer.redriving_count} still wait to be tried: does the service's consumer run?"
            )
        else:
            self._console.print(f"{answer.redriving_count} tried again; {len(unresolved)} unresolved")
        return not unresolved

    async def discard(self, event_id: str, note: str) -> bool:
        """Decide that one shall never take effect."""
        request = pb.DiscardDeadLetterRequest(request_id=str(uuid.uuid4()), event_id=event_id, note=note)
        await self._ask(self._stub.DiscardDeadLetter, request)
        self._console.print(f"{event_id} is discarded; it is kept for audit", soft_wrap=True)
        return True

    async def _settled(self, event_id: str) -> list[DeadLetter]:
        """What is unresolved once nothing waits to be tried again, or patience has ended."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            unresolved = await self._unresolved(event_id)
            waits = any(dead.state == dead_letter_pb2.DEAD_LETTER_STATE_REDRIVING for dead in unresolved)
            if not waits or time.monotonic() > until:
                return unresolved
            await asyncio.sleep(POLL_SECONDS)

    async def _unresolved(self, event_id: str) -> list[DeadLetter]:
        if not event_id:
            return [dead async for dead in self._all()]
        dead = (await self._get(event_id)).dead_letter
        return [] if dead.HasField("resolve_time") else [dead]

    async def _get(self, event_id: str) -> pb.GetDeadLetterResponse:
        request = pb.GetDeadLetterRequest(event_id=event_id)
        return await self._ask(self._stub.GetDeadLetter, request)

    async def _all(self) -> AsyncIterator[DeadLetter]:
        """Every unresolved one, page by page."""
        request = pb.ListDeadLettersRequest(page_size=PAGE_SIZE)
        while True:
            page = await self._ask(self._stub.ListDeadLetters, request)
            for dead in page.dead_letters:
                yield dead
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _table(letters: list[DeadLetter]) -> Table:
    event = Column("event", no_wrap=True)  # To be copied: `show`, `redrive` and `discard` ask for it.
    table = Table(event, "fact", "about", "reason", "deliveries", "died", "error")
    for dead in letters:
        fact = dead.event_type.rpartition(".")[2] or "?"
        died = dead.death_time.ToDatetime(UTC).isoformat(" ", "seconds")
        cells = (dead.event_id, fact, dead.aggregate_id or "?", _reason(dead), str(dead.deliveries), died, dead.error)
        table.add_row(*map(Text, cells))
    return table


def _described(answer: pb.GetDeadLetterResponse) -> dict[str, object]:
    dead = answer.dead_letter
    resolution = {"resolved_by": dead.resolver_id, "note": dead.resolve_note}
    return {
        "event_id": dead.event_id,
        "state": DeadLetterState.Name(dead.state).removeprefix("DEAD_LETTER_STATE_"),
        "reason": _reason(dead),
        "error": dead.error,
        "deliveries": dead.deliveries,
        "died_at": dead.death_time.ToDatetime(UTC).isoformat(),
        **{name: text for name, text in resolution.items() if text},
        "subject": dead.subject,
        "headers": dict(answer.content.headers),
    }


def _reason(dead: DeadLetter) -> str:
    return DeadLetterReason.Name(dead.reason).removeprefix("DEAD_LETTER_REASON_")


def _unreadable(payload: bytes) -> str:
    return f"(unreadable: {len(payload)} bytes) {payload.hex()}"
