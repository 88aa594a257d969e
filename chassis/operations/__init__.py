"""What every service serves for the people who operate it: tradewind.operations.v1, a contract of the chassis's own."""

from collections.abc import Iterable
from typing import Any

from chassis.contract.paging import Pages
from chassis.core.clock import Clock
from chassis.database import Database
from chassis.messaging.dead_letters import DeadLetters
from chassis.operations.dead_letters import DeadLetterServicer
from chassis.operations.replay import ReplayServicer
from chassis.operations.sagas import SagaServicer
from chassis.saga.driver import Driver
from chassis.saga.sagas import Sagas


def servicers(database: Database, clock: Clock, pages: Pages, drivers: Iterable[Driver[Any]]) -> dict[str, object]:
    """By gRPC service name: dead letters and replay of a database, and its sagas if there are drivers of any."""
    found: dict[str, object] = {
        "tradewind.operations.v1.DeadLetterService": DeadLetterServicer(DeadLetters(database), pages),
        "tradewind.operations.v1.ReplayService": ReplayServicer(),
    }
    if drivers := tuple(drivers):
        found["tradewind.operations.v1.SagaService"] = SagaServicer(Sagas(database, clock, drivers), pages)
    return found
