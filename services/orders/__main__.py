"""Wires orders together and serves it."""

from chassis.process.server import Runtime, Service, serve
from chassis.saga.driver import Driver, Limits
from services.orders.peers import Peers
from services.orders.saga import checkout
from services.orders.servicer import OrderServicer
from services.orders.settings import Settings
from services.orders.usecases.orders import Orders
from services.orders.usecases.progress import ProgressLog


def service(runtime: Runtime) -> Service:
    """Orders, and the sagas that see them through."""
    settings = runtime.load_settings(Settings)
    peers = Peers(runtime.connect)
    progress = ProgressLog()
    limits = Limits(
        concurrency=settings.saga_concurrency,
        lease_seconds=settings.saga_lease_seconds,
        poll_seconds=settings.saga_poll_seconds,
    )
    checkouts = Driver(runtime.database, runtime.clock, checkout(peers, progress, runtime.clock, settings), limits)
    orders = Orders(
        runtime.database,
        runtime.clock,
        peers,
        checkouts,
        progress,
        watch_poll_seconds=settings.watch_poll_seconds,
    )
    return Service(
        servicers={"tradewind.orders.v1.OrderService": OrderServicer(orders, runtime.pages)}, sagas=[checkouts]
    )


if __name__ == "__main__":
    serve("services.orders", service)
