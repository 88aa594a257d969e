"""Has a service publish its facts once more."""

import uuid
from datetime import datetime

from rich.console import Console

from tools.ops.connection import Connection
from tradewind.operations.v1 import replay_service_pb2 as pb
from tradewind.operations.v1.replay_service_pb2_grpc import ReplayServiceStub

CALL_SECONDS = 60.0


async def replay(connection: Connection, console: Console, since: datetime) -> bool:
    """Every fact written since then, in as many calls as it takes."""
    stub, count = ReplayServiceStub(connection.channel), 0
    request = pb.ReplayEventsRequest()
    request.start_time.FromDatetime(since)
    while True:
        request.request_id = str(uuid.uuid4())
        answer = await connection.ask(stub.ReplayEvents, request, seconds=CALL_SECONDS)
        count += answer.replayed_count
        if not answer.has_more:
            break
        request.published_before_time.CopyFrom(answer.published_before_time)
    console.print(f"{count} facts since {since.isoformat(' ', 'seconds')} will be published again")
    return True
