"""Wires payments together and serves it."""

from chassis.process.server import Runtime, Service, serve
from services.payments.peers import Provider
from services.payments.servicer import PaymentServicer
from services.payments.settings import Settings
from services.payments.usecases import UseCases
from tradewind.provider.v1.provider_service_pb2_grpc import ProviderServiceStub


def service(runtime: Runtime) -> Service:
    """Payments, its provider, and the question it keeps asking."""
    provider = Provider(ProviderServiceStub(runtime.connect("provider")))
    usecases = UseCases(runtime.database, runtime.clock, provider, runtime.load_settings(Settings))
    return Service(
        servicers={"tradewind.payments.v1.PaymentService": PaymentServicer(usecases, runtime.pages)},
        background=[usecases.keep_asking],
    )


if __name__ == "__main__":
    serve("services.payments", service)
