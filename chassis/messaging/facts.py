"""The traffic of facts of one process: its broker connection, the relay of its outbox, the consumer into its inbox."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from chassis.contract.manifest import Manifest
from chassis.core import errors, logs
from chassis.core.background import Work
from chassis.core.settings import RuntimeSettings
from chassis.database import Database
from chassis.messaging.broker import Broker
from chassis.messaging.consumer import Consumer
from chassis.messaging.inbox import Subscription
from chassis.messaging.relay import Relay

LONGEST_LAG_SECONDS = 30.0
LAST_FLUSH_SECONDS = 2.0

log = logs.logger(__name__)


class Facts:
    """What a service publishes and hears."""

    def __init__(
        self, manifest: Manifest, settings: RuntimeSettings, database: Database, subscriptions: Iterable[Subscription]
    ) -> None:
        password = settings.nats_password.reveal() if settings.nats_password else None
        self._broker = Broker(settings.nats_url, manifest.name, password)
        self._relay = Relay(database, self._broker)
        self._consumer = Consumer(manifest, database, self._broker, subscriptions)

    def open(self) -> None:
        """Begins to connect."""
        self._broker.open()

    @property
    def checks(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """What health tells of it: by dependency, a question that is answered with whether it can be used."""
        return {"broker": self._broker.is_connected, "relay": self._keeps_up}

    @property
    def works(self) -> list[Work]:
        """What goes on as long as the process does."""
        return [self._relay.run, self._consumer.run]

    @property
    def sweeps(self) -> list[Work]:
        """What is forgotten now and then."""
        return [self._relay.sweep, self._consumer.sweep]

    async def close(self) -> None:
        """Publishes what the last calls have left, if the broker takes it, and hangs up."""
        try:
            async with asyncio.timeout(LAST_FLUSH_SECONDS):
                await self._relay.flush()
        except (TimeoutError, errors.TransientProblem) as error:
            # They stay in the outbox: another process, or the next one, publishes them.
            log.warning("facts_left_in_outbox", error=str(error))
        await self._broker.close()

    async def _keeps_up(self) -> bool:
        return self._relay.lag_seconds < LONGEST_LAG_SECONDS
