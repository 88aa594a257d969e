"""Fetching from a durable pull consumer with backpressure: as many messages as there is room for, and no more."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
from nats.aio.msg import Msg

from chassis.core import logs
from chassis.core.waiting import until_set
from chassis.messaging.broker.connection import Broker, BrokerUnavailable
from chassis.messaging.broker.subjects import next_request

ASK_SECONDS = 20
RETRY_SECONDS = 1.0
# The broker's ways of saying that a request has had its time; anything else means that there is no consumer to ask.
REQUEST_IS_OVER = ("404", "408")

log = logs.logger(__name__)


@dataclass(frozen=True)
class PulledMessage:
    """A message the broker waits to hear about."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes
    count: int
    """How often it was delivered, this time included."""
    position: str
    """Where it lies, and since when: `ORDERS:17@1767225600.0`. Known even when its headers say nothing."""
    _message: Msg

    async def ack(self) -> None:
        """It is done with."""
        await self._say(self._message.ack())

    async def retry(self, seconds: float) -> None:
        """Deliver it again, after a while."""
        await self._say(self._message.nak(delay=seconds))

    async def drop(self) -> None:
        """Never deliver it again."""
        await self._say(self._message.term())

    async def _say(self, answer: Awaitable[None]) -> None:
        # Without an answer it comes again, and the inbox knows it.
        with suppress(nats.errors.Error, OSError):
            await answer


class Pull:
    """Fetches one stream's messages for one service, for as long as it runs."""

    def __init__(
        self, broker: Broker, stream: str, room: Callable[[], Awaitable[int]], deliver: Callable[[PulledMessage], None]
    ) -> None:
        self._broker = broker
        self._stream = stream
        self._room = room
        self._deliver = deliver
        self._expected = 0
        self._is_over = asyncio.Event()
        self._numbers = itertools.count()
        self._reply = ""
        self._refusal = ""
        self._was_refused = False

    async def run(self) -> None:
        """Ask, wait until what was asked for has come or the broker has no more, ask again."""
        # When it ends, nobody listens any more: what is handed back must not be delivered to a request of ours.
        async with self._broker.listening(self._on_message, self._is_over.set) as inbox:
            while True:
                self._expected = await self._room()
                self._is_over.clear()
                refusal = await self._ask(inbox)
                self._note(refusal)
                if refusal:
                    await self._pause()

    async def _ask(self, inbox: str) -> str:
        """Ask once, and wait; tell why the broker would not answer, if it would not."""
        self._refusal = ""
        # Of its own: the broker keeps a request whose connection was lost, and its end says nothing about this one.
        self._reply = f"{inbox}.{next(self._numbers)}"
        wish = {"batch": self._expected, "expires": ASK_SECONDS * 1_000_000_000}
        try:
            subject = next_request(self._stream, self._broker.service)
            await self._broker.say(subject, json.dumps(wish).encode(), self._reply)
        except BrokerUnavailable as problem:
            return problem.message
        await until_set(self._is_over, ASK_SECONDS + RETRY_SECONDS)
        return self._refusal

    async def _pause(self) -> None:
        """Until there is a new connection, but not for long: what was refused may be granted by now."""
        self._is_over.clear()
        await until_set(self._is_over, RETRY_SECONDS)

    async def _on_message(self, message: Msg) -> None:
        if message.reply.startswith("$JS.ACK."):
            self._take(_pulled(message))
        elif message.subject == self._reply:
            self._hear_status(message.headers or {})

    def _take(self, pulled: PulledMessage) -> None:
        self._deliver(pulled)
        self._expected -= 1
        if self._expected <= 0:
            self._is_over.set()

    def _hear_status(self, headers: Mapping[str, str]) -> None:
        status = headers.get("Status", "")
        if status not in REQUEST_IS_OVER:
            self._refusal = f"{status} {headers.get('Description', 'no such consumer')}"
        self._is_over.set()

    def _note(self, refusal: str) -> None:
        """Log the first refusal of a row, and its end."""
        if refusal and not self._was_refused:
            log.warning("consumer_waits", stream=self._stream, problem=refusal)
        elif self._was_refused and not refusal:
            log.info("consumer_goes_on", stream=self._stream)
        self._was_refused = bool(refusal)


def _pulled(message: Msg) -> PulledMessage:
    metadata = message.metadata
    return PulledMessage(
        subject=message.subject,
        headers=message.headers or {},
        payload=message.data,
        count=metadata.num_delivered,
        position=f"{metadata.stream}:{metadata.sequence.stream}@{metadata.timestamp.timestamp()}",
        _message=message,
    )
