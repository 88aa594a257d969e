"""Wires the simulated provider together and serves it."""

from chassis.server import Runtime, Service, serve
from tools.provider.servicer import ProviderServicer
from tools.provider.settings import Settings
from tools.provider.store import ChargeStore


def service(runtime: Runtime) -> Service:
    """The provider and its memory."""
    charges = ChargeStore(runtime.settings(Settings).provider_directory)
    return Service(
        servicers={"tradewind.provider.v1.ProviderService": ProviderServicer(charges, runtime.clock)},
    )


if __name__ == "__main__":
    serve("tools.provider", service)
