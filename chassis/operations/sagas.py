"""Sagas on the wire."""

from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.rpc.call import Call
from chassis.saga.machine import State, Status
from chassis.saga.sagas import Sagas
from chassis.saga.store import SagaRecord
from chassis.saga.story import sentence
from tradewind.operations.v1 import saga_pb2
from tradewind.operations.v1 import saga_service_pb2 as pb

DEFAULT_PAGE_SIZE = 50


class SagaServicer:
    """tradewind.operations.v1.SagaService."""

    def __init__(self, sagas: Sagas, pages: Pages) -> None:
        self._sagas = sagas
        self._pages = pages

    async def ListSagas(self, request: pb.ListSagasRequest, call: Call) -> pb.ListSagasResponse:
        """A page of sagas."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self._pages.cursor(request, request.page_token) or {}
        found = await self._sagas.list(status=_STATUSES.get(request.state), after=cursor.get("after"), limit=size + 1)
        page = pb.ListSagasResponse(sagas=map(_message, found[:size]))
        if len(found) > size:
            page.next_page_token = self._pages.token(request, {"after": found[size - 1].saga_id})
        return page

    async def GetSaga(self, request: pb.GetSagaRequest, call: Call) -> pb.GetSagaResponse:
        """One saga and its story."""
        found = await self._sagas.get(request.saga_id)
        return pb.GetSagaResponse(saga=_message(found), history=_history(found.state) if found.state else ())

    async def RetrySaga(self, request: pb.RetrySagaRequest, call: Call) -> pb.RetrySagaResponse:
        """Have a step tried again."""
        async with call.once() as tx:
            found = await self._sagas.retry(tx, call.user.subject, request.saga_id, request.note)
            return tx.reply(pb.RetrySagaResponse(saga=_message(found)))

    async def ForceSaga(self, request: pb.ForceSagaRequest, call: Call) -> pb.ForceSagaResponse:
        """Turn a saga by hand."""
        is_forward = request.direction == pb.SAGA_DIRECTION_FORWARD
        force = self._sagas.force_forward if is_forward else self._sagas.force_backward
        async with call.once() as tx:
            found = await force(tx, call.user.subject, request.saga_id, request.note)
            return tx.reply(pb.ForceSagaResponse(saga=_message(found)))


def _message(found: SagaRecord) -> saga_pb2.Saga:
    message = saga_pb2.Saga(
        saga_id=found.saga_id,
        kind=found.kind,
        state=_STATUS_NUMBERS[found.status] if found.status else saga_pb2.SAGA_STATE_UNSPECIFIED,
        step=found.step,
        start_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
        unreadable=found.state is None,
    )
    if found.state:
        _add_state(message, found.state)
    return message


def _add_state(message: saga_pb2.Saga, state: State) -> None:
    message.failures = state.failures
    message.last_reason = next((entry.reason for entry in reversed(state.history) if entry.reason), "")
    if state.wake_at:
        message.retry_time.CopyFrom(timestamp(state.wake_at))


def _history(state: State) -> list[saga_pb2.SagaEvent]:
    return [saga_pb2.SagaEvent(occur_time=timestamp(entry.at), description=sentence(entry)) for entry in state.history]


_STATUS_NUMBERS = {status: saga_pb2.SagaState.Value(f"SAGA_STATE_{status}") for status in Status}
_STATUSES = {number: status for status, number in _STATUS_NUMBERS.items()}
