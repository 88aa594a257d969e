"""Sends a catalogue to the shop, and goes on where a stream broke."""

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

import grpc
import stamina

from chassis.contract import status
from chassis.core import errors
from tools.importer.retail import Catalogue, Product
from tradewind.catalog.v1.catalog_service_pb2 import GetImportRequest, ImportProductsRequest, ImportReport
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.identity.v1.identity_service_pb2 import LoginRequest
from tradewind.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

_ATTEMPTS = 8
_STREAM_SECONDS = 600
_CALL_SECONDS = 5

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What became of a catalogue, over all the times it was sent."""

    report: ImportReport
    known_before: int
    """Products of it that had been taken before it was sent this time."""


async def log_in(channel: grpc.aio.Channel, email: str, password: str) -> str:
    """An access token. Raises Problem."""
    stub = IdentityServiceStub(channel)
    request = LoginRequest(request_id=str(uuid.uuid4()), email=email, password=password)
    reply = await _raising_problems(stub.Login(request, timeout=_CALL_SECONDS))
    return reply.tokens.access_token


class Upload:
    """A catalogue on its way to the shop.

    Its import is named after its content: the same products again are the same import, of which the shop takes each line
    once.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str, catalogue: Catalogue, currency_code: str) -> None:
        self._stub = CatalogServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._products = catalogue.products
        self._currency_code = currency_code
        self.import_id = import_id(catalogue.products, currency_code)

    async def run(self, on_progress: Callable[[int], None]) -> Outcome:
        """Send what the shop has not taken yet, telling how many products have gone out. Raises Problem."""
        before = await self._report()
        report = before
        # Not UNAVAILABLE alone: gRPC calls a stream that was cut in the middle INTERNAL now and then.
        async for attempt in stamina.retry_context(on=errors.TransientProblem, attempts=_ATTEMPTS, timeout=None):
            with attempt:
                report = await self._send_rest(await self._report(), on_progress)
        return Outcome(report, known_before=len(self._products) - len(self._after(before.last_line)))

    async def _send_rest(self, report: ImportReport, on_progress: Callable[[int], None]) -> ImportReport:
        rest = self._after(report.last_line)
        on_progress(len(self._products) - len(rest))
        if not rest:
            return report
        stream = self._stub.ImportProducts(
            self._lines(rest, on_progress), timeout=_STREAM_SECONDS, metadata=self._metadata
        )
        return (await _raising_problems(stream)).report

    async def _report(self) -> ImportReport:
        request = GetImportRequest(import_id=self.import_id)
        try:
            call = self._stub.GetImport(request, timeout=_CALL_SECONDS, metadata=self._metadata)
            return (await _raising_problems(call)).report
        except errors.NotFound:
            return ImportReport()

    def _after(self, line_number: int) -> Sequence[Product]:
        return [product for product in self._products if product.line_number > line_number]

    def _lines(self, rest: Sequence[Product], on_progress: Callable[[int], None]) -> Iterator[ImportProductsRequest]:
        for sent, product in enumerate(rest, start=len(self._products) - len(rest) + 1):
            yield ImportProductsRequest(
                request_id=self.import_id,
                line_number=product.line_number,
                sku=product.sku,
                name=product.name,
                price=product.price,
                currency_code=self._currency_code,
            )
            on_progress(sent)


def import_id(products: Sequence[Product], currency_code: str) -> str:
    """The id of the import of these products at these prices."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps([currency_code, *map(astuple, products)])))


async def _raising_problems(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise status.from_rpc_error(error) from None


_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://tradewind.dev/imports")
