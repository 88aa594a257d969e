"""Replays on the wire."""

from datetime import UTC

from chassis.contract.wire import timestamp
from chassis.messaging.replay import replay
from chassis.rpc.call import Call
from tradewind.operations.v1 import replay_service_pb2 as pb


class ReplayServicer:
    """tradewind.operations.v1.ReplayService."""

    async def ReplayEvents(self, request: pb.ReplayEventsRequest, call: Call) -> pb.ReplayEventsResponse:
        """Have facts published once more."""
        since = request.start_time.ToDatetime(UTC)
        before = request.published_before_time.ToDatetime(UTC) if request.HasField("published_before_time") else None
        async with call.once() as tx:
            done = await replay(tx, since, before)
            answer = pb.ReplayEventsResponse(
                replayed_count=done.count,
                published_before_time=timestamp(done.published_before),
                has_more=done.has_more,
            )
            return tx.reply(answer)
