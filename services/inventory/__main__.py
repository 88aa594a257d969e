"""Wires inventory together and serves it."""

from chassis.process.server import Runtime, Service, serve
from services.inventory.servicer import InventoryServicer
from services.inventory.settings import Settings
from services.inventory.usecases import UseCases


def service(runtime: Runtime) -> Service:
    """What inventory is made of."""
    usecases = UseCases(runtime.database, runtime.clock, runtime.load_settings(Settings))
    return Service(
        servicers={"tradewind.inventory.v1.InventoryService": InventoryServicer(usecases)},
        background=[usecases.sweep],
    )


if __name__ == "__main__":
    serve("services.inventory", service)
