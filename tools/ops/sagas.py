"""Lists, explains, retries and forces the sagas of a service."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tools.ops.connection import Connection
from tradewind.operations.v1 import saga_service_pb2 as pb
from tradewind.operations.v1.saga_pb2 import Saga, SagaState
from tradewind.operations.v1.saga_service_pb2_grpc import SagaServiceStub

PAGE_SIZE = 500
STATES: Final = {
    name.removeprefix("SAGA_STATE_"): number
    for name, number in SagaState.items()
    if number != SagaState.SAGA_STATE_UNSPECIFIED
}
DIRECTIONS: Final = {"forward": pb.SAGA_DIRECTION_FORWARD, "backward": pb.SAGA_DIRECTION_BACKWARD}


class SagaCommands:
    """What a person asks of one service's sagas."""

    def __init__(self, connection: Connection, console: Console) -> None:
        self._stub = SagaServiceStub(connection.channel)
        self._ask = connection.ask
        self._console = console

    async def show_all(self, state: str, limit: int) -> bool:
        """A table of the oldest in that state."""
        table = Table(Column("saga", no_wrap=True), "kind", "state", "step", "failures", "reason", "began", "moved")
        async for saga in self._all(STATES[state], limit):
            table.add_row(*map(Text, _cells(saga)))
        self._console.print(table if table.row_count else f"no sagas are {state}")
        return True

    async def explain(self, saga_id: str) -> bool:
        """One saga as a story."""
        request = pb.GetSagaRequest(saga_id=saga_id)
        answer = await self._ask(self._stub.GetSaga, request)
        self._console.print(f"{answer.saga.kind} {saga_id}: {_state(answer.saga)}", soft_wrap=True)
        for event in answer.history:
            line = f"{_moment(event.occur_time):%Y-%m-%d %H:%M:%S}Z  {event.description}"
            self._console.print(line, soft_wrap=True, markup=False, highlight=False)
        return True

    async def retry(self, saga_id: str, note: str) -> bool:
        """Have the step at hand tried again."""
        request = pb.RetrySagaRequest(request_id=str(uuid.uuid4()), saga_id=saga_id, note=note)
        answer = await self._ask(self._stub.RetrySaga, request)
        self._console.print(f"{saga_id}: {_state(answer.saga)}", soft_wrap=True)
        return True

    async def force(self, saga_id: str, direction: str, note: str) -> bool:
        """Turn it by hand."""
        request = pb.ForceSagaRequest(
            request_id=str(uuid.uuid4()), saga_id=saga_id, direction=DIRECTIONS[direction], note=note
        )
        answer = await self._ask(self._stub.ForceSaga, request)
        self._console.print(f"{saga_id}: {_state(answer.saga)}", soft_wrap=True)
        return True

    async def _all(self, state: SagaState.ValueType, limit: int) -> AsyncIterator[Saga]:
        request, left = pb.ListSagasRequest(state=state), limit
        while left > 0:
            request.page_size = min(left, PAGE_SIZE)
            page = await self._ask(self._stub.ListSagas, request)
            for saga in page.sagas:
                yield saga
            left -= len(page.sagas)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _cells(saga: Saga) -> tuple[str, ...]:
    failures = str(saga.failures) if saga.failures else ""
    moments = (_moment(each).isoformat(" ", "seconds") for each in (saga.start_time, saga.update_time))
    return (saga.saga_id, saga.kind, _state(saga), saga.step, failures, saga.last_reason, *moments)


def _state(saga: Saga) -> str:
    state = SagaState.Name(saga.state).removeprefix("SAGA_STATE_")
    return f"{state} (unreadable: of another version)" if saga.unreadable else state


def _moment(at: Timestamp) -> datetime:
    return at.ToDatetime(UTC)
