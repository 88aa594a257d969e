"""Wires the simulated provider together and serves it."""

from chassis.process.server import Runtime, Service, serve
from tools.stack.fakes.provider.servicer import ProviderServicer
from tools.stack.fakes.provider.settings import Settings
from tools.stack.fakes.provider.store import ChargeStore


def service(runtime: Runtime) -> Service:
    """The provider and its memory."""
    charges = ChargeStore(runtime.load_settings(Settings).provider_directory)
    return Service(
        servicers={"tradewind.provider.v1.ProviderService": ProviderServicer(charges, runtime.clock)},
    )


if __name__ == "__main__":
    serve("tools.stack.fakes.provider", service)
