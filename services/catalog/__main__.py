"""The catalogue's parts, put together."""

from chassis.process.server import Runtime, Service, serve
from services.catalog.servicer import CatalogServicer
from services.catalog.usecases import UseCases


def service(runtime: Runtime) -> Service:
    """One servicer over one database."""
    usecases = UseCases(runtime.database, runtime.clock)
    return Service(servicers={"tradewind.catalog.v1.CatalogService": CatalogServicer(usecases, runtime.pages)})


if __name__ == "__main__":
    serve("services.catalog", service)
