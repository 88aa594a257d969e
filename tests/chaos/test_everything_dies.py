"""SIGKILL to everything there is, under a stream of orders; and a broker that forgets everything."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta

from chassis.database import Database
from chassis.messaging.replay import replay
from tests.chaos.market import ORCHESTRATORS, Market
from tests.chaos.records import PUBLISHERS

VICTIMS = (
    *("catalog", "inventory", "payments", "provider", "notifications", "identity", "mail"),
    *(*ORCHESTRATORS, "broker", "database"),
)


async def test_every_accepted_order_survives_the_death_of_everything(market: Market) -> None:
    """One process after the other is killed while orders are placed and seen through, and comes back by itself."""
    for number, victim in enumerate(VICTIMS):
        counter = ORCHESTRATORS[number % len(ORCHESTRATORS)]
        orders = asyncio.ensure_future(market.orders(5, counter))
        await asyncio.to_thread(market.stack.kill, victim)
        await orders
        await asyncio.to_thread(market.stack.wait_until_healthy, victim)
    states = await market.come_to_rest()
    assert len(states) == 5 * len(VICTIMS)


async def test_every_fact_survives_the_loss_of_the_brokers_disk(market: Market) -> None:
    """What the outboxes keep is told again, and nobody is written to twice."""
    await market.crowd(*ORCHESTRATORS)
    states = await market.come_to_rest()
    shutil.rmtree(market.stack.directory.broker / "jetstream")
    await asyncio.to_thread(market.stack.kill, "broker")
    await asyncio.to_thread(market.stack.wait_until_healthy, "broker")
    for service in PUBLISHERS:
        database = Database(market.stack.secret(service, "database_url"))
        await database.open()
        async with database.transaction() as tx:
            await replay(tx, datetime.now(UTC) - timedelta(hours=1), None)
        await database.close()
    assert await market.come_to_rest() == states
