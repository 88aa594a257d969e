"""A service to operate, with notifications' manifest and handlers that fail on demand; and the tool that operates it."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chassis.core.secret import Secret
from chassis.database import Transaction
from chassis.messaging.broker import subject_of
from chassis.messaging.consumer import Fact, Subscription
from chassis.messaging.dead_letters import DeadLetters, Reason
from chassis.messaging.inbox import ReceivedMessage
from chassis.process.runtime import Runtime, Service
from chassis.testing import RunningService, running
from tests.conftest import Nats
from tools.paths import ROOT
from tradewind.identity.v1.user_events_pb2 import UserRegistered
from tradewind.operations.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from tradewind.orders.v1.order_events_pb2 import OrderCancelled, OrderConfirmed

NAME = "notifications"
REGISTERED = UserRegistered.DESCRIPTOR.full_name


@dataclass
class Operated:
    """The service, what its handlers have taken in, and which users' facts they still refuse, and how often."""

    heard: list[str] = field(default_factory=list)
    failing: Counter[str] = field(default_factory=Counter)
    services: list[RunningService] = field(default_factory=list)

    @property
    def service(self) -> RunningService:
        """The running process."""
        return self.services[0]

    @property
    def staff_letters(self) -> DeadLetterServiceStub:
        """Its dead letters, as staff reach them."""
        return DeadLetterServiceStub(self.service.channel(token=self.service.tokens.staff()))

    async def bury(self, user_id: str, *, payload: bytes = b"", event_type: str = REGISTERED, error: str = "no") -> str:
        """Let the fact that a user registered have died here; its id."""
        event = UserRegistered(user_id=user_id, email=f"{user_id}@example.com", aggregate_version=1)
        headers = {
            "ce-id": f"event-{user_id}",
            "ce-type": event_type,
            "ce-subject": user_id,
            "ce-time": "2026-01-01T00:00:00+00:00",
        }
        letter = ReceivedMessage(subject_of(event_type, user_id), headers, payload or event.SerializeToString())
        await DeadLetters(self.service.database).bury(NAME, f"event-{user_id}", letter, 8, Reason.FAILED, error)
        return f"event-{user_id}"

    async def hear(self, tx: Transaction, event: UserRegistered, fact: Fact) -> None:
        """The handler."""
        if self.failing[event.user_id]:
            self.failing[event.user_id] -= 1
            raise ValueError("cannot hear")
        tx.on_commit(lambda: self.heard.append(event.user_id))

    def wire(self, _: Runtime) -> Service:
        """The wiring: no contract of its own, so that all it serves is the chassis's."""
        facts = dict.fromkeys((UserRegistered, OrderConfirmed, OrderCancelled), self.hear)
        return Service(servicers={}, subscriptions=[Subscription(facts)])


@asynccontextmanager
async def operated(database_url: str, nats: Nats | None = None) -> AsyncIterator[Operated]:
    """The service, for the block; with a broker its consumer runs."""
    it = Operated()
    broker = {"nats_url": nats.url, "nats_password": Secret(nats.password(NAME))} if nats else {}
    async with running(it.wire, f"services.{NAME}", database_url=database_url, **broker) as service:
        it.services.append(service)
        yield it


async def tool(
    service: RunningService, directory: Path, *arguments: str, token: str = ""
) -> tuple[int | None, str, str]:
    """Run the tool against a process, with a token of staff unless there is another; exit code, output, errors."""
    token_file = directory / "token"
    token_file.write_text(token or service.tokens.staff())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.ops", *arguments),
        *("--address", service.target, "--token-file", str(token_file)),
        cwd=ROOT,
        # Where no stack has ever been: nothing is read from there.
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "TRADEWIND_STATE_DIR": str(directory / "state"),
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()
