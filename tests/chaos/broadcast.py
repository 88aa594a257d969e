"""Facts said by somebody who may say anything, as often as they like."""

from datetime import UTC, datetime

import nats
from google.protobuf.message import Message

from chassis.contract import descriptors
from chassis.messaging.broker import stream_of, subject_of


async def broadcast(broker_url: str, fact: Message, event_id: str) -> None:
    """Publish a fact so that the broker does not know it again. Its subscribers may, by the id."""
    name = fact.DESCRIPTOR.full_name
    envelope = {
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": f"//tradewind.dev/{stream_of(name).lower()}",
        "ce-type": name,
        "ce-time": datetime.now(UTC).isoformat(),
        "content-type": "application/protobuf",
    }
    aggregate_id = getattr(fact, descriptors.aggregate_id_field(fact.DESCRIPTOR))
    async with await nats.connect(broker_url) as client:
        await client.jetstream().publish(subject_of(name, aggregate_id), fact.SerializeToString(), headers=envelope)
