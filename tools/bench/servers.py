"""Three servers of one small unary method: bare grpc.aio, with stock OpenTelemetry interceptors, behind the full chassis.

`python -m tools.bench.servers KIND` serves one of them and prints its address. All three run on uvloop and answer
`InventoryService/GetAvailability` with the same message, so that what differs is what lies in between.
"""

import asyncio
import sys
from dataclasses import replace

import grpc
import uvloop
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from chassis.contract import manifest
from chassis.core import logs
from chassis.core.settings import RuntimeSettings
from chassis.process.host import Host
from chassis.process.runtime import Service
from chassis.process.server import freeze_garbage
from chassis.testing import Tokens
from tradewind.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc, stock_pb2

SERVICE = "tradewind.inventory.v1.InventoryService"
SAMPLE_RATIO = 0.01

ANSWER = inventory_service_pb2.GetAvailabilityResponse(
    availability=[stock_pb2.Availability(sku="LANTERN-RED", on_hand=12, reserved=2, available=10)]
)


class Stock:
    """Answers at once; what it would look up is not the matter here."""

    async def GetAvailability(
        self, request: inventory_service_pb2.GetAvailabilityRequest, context: object
    ) -> inventory_service_pb2.GetAvailabilityResponse:
        """The same answer each time."""
        return ANSWER

    def __getattr__(self, name: str) -> object:
        """The other methods of the contract, which nobody calls here."""
        return self.GetAvailability if name[0].isupper() else object.__getattribute__(self, name)


class Discard(SpanExporter):
    """Spans are made and batched, and go nowhere: exporting is the collector's cost."""

    def export(self, spans: object) -> SpanExportResult:
        """Takes them."""
        return SpanExportResult.SUCCESS


def provider() -> TracerProvider:
    """A real SDK provider."""
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(Discard()))
    return made


async def bare(*server_interceptors: grpc.aio.ServerInterceptor) -> None:
    """grpc.aio as it comes, with these interceptors."""
    server = grpc.aio.server(interceptors=server_interceptors)
    inventory_service_pb2_grpc.add_InventoryServiceServicer_to_server(Stock(), server)  # type: ignore[arg-type]  # one method is enough
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _announce(port)
    await server.wait_for_termination()


async def opentelemetry() -> None:
    """With the package's interceptor, every call sampled, as its documentation sets it up."""
    stock = aio_server_interceptor(tracer_provider=provider())  # type: ignore[no-untyped-call]  # it has no types
    await bare(stock)


async def chassis() -> None:
    """As `chassis.process.server.serve` has it, everything on; only the database is left out."""
    declared = replace(manifest.of_package("services.inventory"), database=False)
    logs.configure(declared.name, "dev", "info")
    own = RuntimeSettings(
        grpc_address="127.0.0.1:0", operations_address="127.0.0.1:0", trace_sample_ratio=SAMPLE_RATIO, drain_seconds=0
    )
    host = Host(declared, own, keys=_KEYS.fetch, spans=provider())
    await host.start(lambda _: Service(servicers={SERVICE: Stock()}))
    freeze_garbage()
    _announce(host.port)
    await asyncio.Event().wait()


_KEYS = Tokens()


def _announce(port: int) -> None:
    sys.stderr.write(f"{port} {_KEYS.customer('bench')}\n")
    sys.stderr.flush()


def main() -> None:
    """Serves the kind named on the command line until it is ended."""
    uvloop.run({"bare": bare, "opentelemetry": opentelemetry, "chassis": chassis}[sys.argv[1]]())


if __name__ == "__main__":
    main()
