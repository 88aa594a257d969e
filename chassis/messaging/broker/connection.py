"""One process's connection to NATS: made in the background, and made again for ever."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from chassis.core import errors, logs
from chassis.messaging.broker.subjects import inbox_of

STORE_SECONDS = 3.0
RECONNECT_SECONDS = 1
PING_SECONDS = 10
SILENCE_SECONDS = 10
"""How long what was sent may stay unacknowledged by the other machine before its connection counts as lost."""

log = logs.logger(__name__)


class BrokerUnavailable(errors.Unavailable):
    """The broker did not say that it has the message. It may have it all the same: send it again under the same id."""

    reason = "BROKER_UNAVAILABLE"


@dataclass(frozen=True)
class Listener:
    """Somebody who hears what is sent below one subject, and is told of every new connection."""

    subject: str
    hear: Callable[[Msg], Awaitable[None]]
    connected: Callable[[], None]


class Broker:
    """What a service says to NATS and hears from it."""

    def __init__(self, url: str, service: str, password: str | None = None) -> None:
        self.service = service
        self._url = url
        self._password = password
        self._client = Client()
        self._closed = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []
        self._subscriptions: dict[Listener, Subscription] = {}
        self._attaching = asyncio.Lock()
        self._last_error = ""

    def open(self) -> None:
        """Begin to connect; whether that has succeeded is told by `is_connected`."""
        self._connecting = asyncio.create_task(self._keep_connected(), name="broker")

    async def close(self) -> None:
        """Send what is still to be sent, then hang up."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self._client.close()

    async def is_connected(self) -> bool:
        """Whether the broker can be spoken to now."""
        return self._client.is_connected

    async def store(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """Publish into a stream; return when the broker has it on its disk. Raises BrokerUnavailable."""
        self._require_connection()
        try:
            await self._client.jetstream().publish(subject, payload, STORE_SECONDS, headers=dict(headers))
        except nats.js.errors.APIError as error:
            raise BrokerUnavailable(f"the broker refused a message: {error.description}") from error
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailable(f"the broker did not store a message: {error!r}") from error

    async def say(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """Send without waiting for an answer: it may get lost. Raises BrokerUnavailable."""
        self._require_connection()
        try:
            await self._client.publish(subject, payload, reply)
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailable(f"the broker cannot be spoken to: {error!r}") from error

    @asynccontextmanager
    async def listening(
        self, hear: Callable[[Msg], Awaitable[None]], connected: Callable[[], None]
    ) -> AsyncIterator[str]:
        """Hear, for the block, what is sent one word below a fresh subject, which is given; over this and every later connection."""
        listener = Listener(f"{inbox_of(self.service)}.{uuid4().hex}", hear, connected)
        self._listeners.append(listener)
        try:
            if self._client.is_connected:
                await self._attach(listener)
            yield listener.subject
        finally:
            await self._detach(listener)

    def _require_connection(self) -> None:
        # The client would keep it for later, and send it when nobody waits for the answer any more.
        if not self._client.is_connected:
            raise BrokerUnavailable("there is no connection to the broker")

    async def _keep_connected(self) -> None:
        # The client comes back by itself after an outage. After some errors, a refused login for one, it closes for good.
        while True:
            self._client, self._closed = Client(), asyncio.Event()
            self._subscriptions.clear()
            await self._connect()
            log.info("broker_connected")
            await self._closed.wait()
            log.error("broker_connection_closed", last_error=self._last_error)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self) -> None:
        await self._client.connect(
            self._url,
            name=self.service,
            user=self.service if self._password else None,
            password=self._password,
            inbox_prefix=inbox_of(self.service),
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_close,
        )
        self._bound_silence()
        for listener in tuple(self._listeners):
            await self._attach(listener)

    def _bound_silence(self) -> None:
        # Before the client connects anew it waits until all it had to say is sent. To a machine that has vanished, or does
        # not read, it never is; by itself the system gives up after a quarter of an hour. Only Linux can be told not to.
        if sys.platform == "linux":
            connection = self._client._transport._io_writer.get_extra_info("socket")  # type: ignore[union-attr]  # noqa: SLF001
            with suppress(OSError, ValueError):  # it is closed already
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000)

    async def _attach(self, listener: Listener) -> None:
        async with self._attaching:
            if listener not in self._subscriptions:
                self._subscriptions[listener] = await self._client.subscribe(f"{listener.subject}.*", cb=listener.hear)
        listener.connected()

    async def _detach(self, listener: Listener) -> None:
        self._listeners.remove(listener)
        subscription = self._subscriptions.pop(listener, None)
        if subscription is not None and self._client.is_connected:
            # What the broker has sent already is heard: dropped, it would come again only after half a minute.
            with suppress(nats.errors.Error):
                await subscription.drain()  # type: ignore[no-untyped-call]  # the package forgot its types here

    async def _on_reconnect(self) -> None:
        log.info("broker_connected")
        self._bound_silence()
        self._last_error = ""
        for listener in self._listeners:
            listener.connected()

    async def _on_disconnect(self) -> None:
        log.warning("broker_disconnected")

    async def _on_close(self) -> None:
        self._closed.set()

    async def _on_error(self, error: Exception) -> None:
        # The same one comes back with every attempt to connect.
        if repr(error) != self._last_error:
            self._last_error = repr(error)
            log.warning("broker_error", error=self._last_error)
