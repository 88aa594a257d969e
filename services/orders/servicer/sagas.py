"""Sagas on the wire."""

from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.rpc.call import Call
from chassis.saga.machine import Status
from chassis.saga.store import SagaRecord
from chassis.saga.story import sentence
from services.orders.usecases.sagas import Sagas
from tradewind.orders.v1 import saga_pb2
from tradewind.orders.v1 import saga_service_pb2 as pb

DEFAULT_PAGE_SIZE = 50


class SagaServicer:
    """tradewind.orders.v1.SagaService."""

    def __init__(self, sagas: Sagas, pages: Pages) -> None:
        self._sagas = sagas
        self._pages = pages

    async def ListSagas(self, request: pb.ListSagasRequest, call: Call) -> pb.ListSagasResponse:
        """A page of sagas."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self._pages.cursor(request, request.page_token) or {}
        records = await self._sagas.list_sagas(
            status=_STATUSES.get(request.state), after=cursor.get("after"), limit=size + 1
        )
        page = pb.ListSagasResponse(sagas=map(_saga_message, records[:size]))
        if len(records) > size:
            page.next_page_token = self._pages.token(request, {"after": records[size - 1].saga_id})
        return page

    async def ExplainSaga(self, request: pb.ExplainSagaRequest, call: Call) -> pb.ExplainSagaResponse:
        """One saga's story."""
        record = await self._sagas.get_saga(request.saga_id)
        history = [
            saga_pb2.SagaMoment(occur_time=timestamp(entry.at), description=sentence(entry))
            for entry in record.state.history
        ]
        return pb.ExplainSagaResponse(saga=_saga_message(record), history=history)

    async def RetrySaga(self, request: pb.RetrySagaRequest, call: Call) -> pb.RetrySagaResponse:
        """Have a step tried again."""
        async with call.once() as tx:
            record = await self._sagas.retry_saga(tx, call.user, request.saga_id, request.note)
            return tx.reply(pb.RetrySagaResponse(saga=_saga_message(record)))

    async def ForceSaga(self, request: pb.ForceSagaRequest, call: Call) -> pb.ForceSagaResponse:
        """Turn a saga by hand."""
        is_forward = request.direction == pb.DIRECTION_FORWARD
        force = self._sagas.force_forward if is_forward else self._sagas.force_backward
        async with call.once() as tx:
            record = await force(tx, call.user, request.saga_id, request.note)
            return tx.reply(pb.ForceSagaResponse(saga=_saga_message(record)))


def _saga_message(record: SagaRecord) -> saga_pb2.Saga:
    state = record.state
    return saga_pb2.Saga(
        saga_id=record.saga_id,
        kind=record.kind,
        state=_STATUS_NUMBERS[state.status],
        step=record.step,
        failures=state.failures,
        last_reason=next((entry.reason for entry in reversed(state.history) if entry.reason), ""),
        wake_time=timestamp(state.wake_at) if state.wake_at else None,
        start_time=timestamp(record.created_at),
        update_time=timestamp(record.updated_at),
    )


_STATUS_NUMBERS = {status: saga_pb2.SagaState.Value(f"SAGA_STATE_{status}") for status in Status}
_STATUSES = {number: status for status, number in _STATUS_NUMBERS.items()}
