"""What a service is made of, and what its wiring is given to make it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from chassis.contract.manifest import Manifest
from chassis.contract.paging import Pages
from chassis.core.background import Work
from chassis.core.clock import Clock
from chassis.core.settings import Dataclass, RuntimeSettings, SettingsError, keyring, load, peer_target
from chassis.database import Database
from chassis.messaging.consumer import Subscription
from chassis.process.operations import Route
from chassis.rpc import channel, credentials
from chassis.rpc.channel import PeerChannel
from chassis.rpc.traces import Traces
from chassis.saga.driver import Driver

T = TypeVar("T", bound=Dataclass)


@dataclass(frozen=True)
class Service:
    """A service, wired and ready to run."""

    servicers: Mapping[str, object]
    """By gRPC service name (`tradewind.orders.v1.OrderService`): objects with one async method for each RPC."""
    subscriptions: Sequence[Subscription] = ()
    background: Sequence[Work] = ()
    """Work that goes on as long as the process does; started again when it fails."""
    sagas: Sequence[Driver[Any]] = ()
    """The drivers of its sagas, one for each kind. They run in the background, and staff can look after what they drive."""
    http_routes: Mapping[str, Route] = field(default_factory=dict)
    """Further paths of the operations port, for what has to be plain HTTP. Called on another thread."""


class Runtime:
    """What a service's wiring takes its parts from."""

    def __init__(
        self, manifest: Manifest, settings: RuntimeSettings, clock: Clock, traces: Traces, database: Database | None
    ) -> None:
        self.manifest = manifest
        self.settings = settings
        self.clock = clock
        self.traces = traces
        self.channels: dict[str, PeerChannel] = {}
        self._database = database

    @property
    def database(self) -> Database:
        """The service's database. Raises SettingsError when the manifest says it has none."""
        if self._database is None:
            raise SettingsError(f"{self.manifest.package}/service.yaml says `database: false`")
        return self._database

    @property
    def pages(self) -> Pages:
        """Page tokens signed with this service's secret."""
        return Pages(keyring("page_key", self.settings.page_key))

    def load_settings(self, cls: type[T]) -> T:
        """The service's own settings."""
        return load(cls)

    def connect(self, peer: str) -> grpc.aio.Channel:
        """A channel to a peer, for generated stubs: `CatalogServiceStub(runtime.connect("catalog"))`.

        The peer is found at TRADEWIND_ADDRESS_OF_<NAME> (addresses separated by commas), or by its name in the cluster's DNS.
        """
        if peer not in self.channels:
            self.channels[peer] = channel.connect(
                peer, peer_target(peer), self.manifest, self.settings, self.traces, credentials.client(self.settings)
            )
        return self.channels[peer]


Wiring = Callable[[Runtime], Service | Awaitable[Service]]
"""A service's `__main__.service`: takes its parts from the runtime, gives the service back. May be async."""
