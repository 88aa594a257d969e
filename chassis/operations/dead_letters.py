"""Dead letters on the wire."""

from datetime import datetime
from typing import Any

from chassis.contract import redaction
from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.messaging.dead_letters import DeadLetter, DeadLetters, Position, Reason, State
from chassis.rpc.call import Call
from tradewind.operations.v1 import dead_letter_pb2
from tradewind.operations.v1 import dead_letter_service_pb2 as pb

DEFAULT_PAGE_SIZE = 50
LONGEST_ERROR = 1_000


class DeadLetterServicer:
    """tradewind.operations.v1.DeadLetterService."""

    def __init__(self, dead_letters: DeadLetters, pages: Pages) -> None:
        self._dead_letters = dead_letters
        self._pages = pages

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, call: Call) -> pb.ListDeadLettersResponse:
        """A page of dead letters."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        after = _position(self._pages.cursor(request, request.page_token))
        found = await self._dead_letters.page(_STATES.get(request.state), after, size + 1)
        page = pb.ListDeadLettersResponse(dead_letters=map(_message, found[:size]))
        if len(found) > size:
            page.next_page_token = self._pages.token(request, _cursor(found[size - 1].position))
        return page

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, call: Call) -> pb.GetDeadLetterResponse:
        """One dead letter and what it says."""
        dead = await self._dead_letters.get(request.event_id)
        return pb.GetDeadLetterResponse(dead_letter=_message(dead), content=_content(dead))

    async def RedriveDeadLetters(
        self, request: pb.RedriveDeadLettersRequest, call: Call
    ) -> pb.RedriveDeadLettersResponse:
        """Have one tried again, or all."""
        async with call.once() as tx:
            count = await self._dead_letters.redrive(tx, request.event_id)
            return tx.reply(pb.RedriveDeadLettersResponse(redriving_count=count))

    async def DiscardDeadLetter(self, request: pb.DiscardDeadLetterRequest, call: Call) -> pb.DiscardDeadLetterResponse:
        """Decide that one shall never take effect."""
        async with call.once() as tx:
            dead = await self._dead_letters.discard(tx, request.event_id, call.user.subject, request.note)
            return tx.reply(pb.DiscardDeadLetterResponse(dead_letter=_message(dead)))


def _message(dead: DeadLetter) -> dead_letter_pb2.DeadLetter:
    return dead_letter_pb2.DeadLetter(
        event_id=dead.event_id,
        event_type=dead.message.headers.get("ce-type", ""),
        aggregate_id=dead.message.headers.get("ce-subject", ""),
        subject=dead.message.subject,
        state=_STATE_NUMBERS[dead.state],
        reason=_REASON_NUMBERS[dead.reason],
        error=dead.error[:LONGEST_ERROR],
        deliveries=dead.deliveries,
        death_time=timestamp(dead.died_at),
        resolve_time=timestamp(dead.resolved_at) if dead.resolved_at else None,
        resolver_id=dead.resolved_by,
        resolve_note=dead.resolution_note,
    )


def _content(dead: DeadLetter) -> dead_letter_pb2.DeadLetterContent:
    event_json = redaction.as_json(dead.message.headers.get("ce-type", ""), dead.message.payload)
    return dead_letter_pb2.DeadLetterContent(
        headers=dead.message.headers,
        event_json=event_json or "",
        unreadable_payload=dead.message.payload if event_json is None else b"",
    )


def _cursor(position: Position) -> dict[str, Any]:
    return {"died_at": position.died_at.isoformat(), "event_id": position.event_id}


def _position(cursor: dict[str, Any] | None) -> Position:
    return Position(datetime.fromisoformat(cursor["died_at"]), cursor["event_id"]) if cursor else Position()


_STATE_NUMBERS = {state: dead_letter_pb2.DeadLetterState.Value(f"DEAD_LETTER_STATE_{state}") for state in State}
_STATES = {number: state for state, number in _STATE_NUMBERS.items()}
_REASON_NUMBERS = {reason: dead_letter_pb2.DeadLetterReason.Value(f"DEAD_LETTER_REASON_{reason}") for reason in Reason}
