"""A process that does nothing but relay, or consume: for tests that kill it."""

import asyncio
import os
import sys

from chassis.core import failpoints
from chassis.database import Database, Transaction
from chassis.messaging.broker import Broker
from chassis.messaging.consumer import Consumer, Fact, Subscription
from chassis.messaging.relay import Relay
from tests.integration.messaging.facts import LISTENER, Told
from tradewind.orders.v1.order_events_pb2 import OrderConfirmed, OrderPlaced


async def hear(tx: Transaction, event: Told, fact: Fact) -> None:
    """Write down what was heard."""
    key = f"{event.order_id}/{event.aggregate_version}"
    await tx.execute("INSERT INTO heard (key, event_id) VALUES (%(key)s, %(id)s)", key=key, id=fact.id)


async def main(role: str, database_url: str, nats_url: str, password: str) -> None:
    """Be a `relay` or a `consumer` until somebody ends it."""
    failpoints.arm_from(os.environ)
    database = Database(database_url)
    await database.open()
    broker = Broker(nats_url, "orders" if role == "relay" else "listener", password)
    broker.open()
    if role == "relay":
        await Relay(database, broker).run()
    else:
        subscription = Subscription({OrderPlaced: hear, OrderConfirmed: hear})
        await Consumer(LISTENER, database, broker, [subscription]).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
