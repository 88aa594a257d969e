"""Payments and its provider as their callers reach them, and short words for what they ask of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from chassis.core import errors, failpoints
from chassis.rpc.metadata import ASSERTED_PEER
from chassis.testing import ManualClock, RunningService, Tokens, running
from chassis.testing.refusals import refused
from services.payments.__main__ import service
from services.payments.settings import Settings
from tools.stack.fakes.provider.__main__ import service as provider_service
from tradewind.payments.v1 import payment_service_pb2 as pb
from tradewind.payments.v1.payment_events_pb2 import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from tradewind.payments.v1.payment_pb2 import LedgerEntry, Payment
from tradewind.payments.v1.payment_service_pb2_grpc import PaymentServiceStub
from tradewind.provider.v1 import provider_service_pb2 as provider_pb
from tradewind.provider.v1.charge_pb2 import Charge
from tradewind.provider.v1.provider_service_pb2_grpc import ProviderServiceStub
from tradewind.type.v1.money_pb2 import Money

FACTS = {
    fact.DESCRIPTOR.full_name: fact
    for fact in (PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided)
}
AS_PAYMENTS = ((ASSERTED_PEER, "payments"),)
AMOUNT = Money(currency_code="GBP", minor_units=4_950)


@dataclass
class Payments:
    """The service as orders and staff reach it, and the provider behind it as nobody else does."""

    service: RunningService
    clock: ManualClock
    orders: PaymentServiceStub
    staff: PaymentServiceStub
    provider: ProviderServiceStub

    async def authorize(self, order_id: str, **fields: Any) -> Payment:
        """Hold the amount."""
        return (await self.orders.AuthorizePayment(authorization(order_id, **fields))).payment

    async def capture(self, order_id: str) -> Payment:
        """Take the amount."""
        return (
            await self.orders.CapturePayment(pb.CapturePaymentRequest(request_id=new_id(), order_id=order_id))
        ).payment

    async def void(self, order_id: str) -> Payment:
        """Give up the hold."""
        return (await self.orders.VoidPayment(pb.VoidPaymentRequest(request_id=new_id(), order_id=order_id))).payment

    async def refund(self, order_id: str) -> Payment:
        """Give the amount back."""
        return (
            await self.orders.RefundPayment(pb.RefundPaymentRequest(request_id=new_id(), order_id=order_id))
        ).payment

    async def get(self, order_id: str) -> Payment:
        """Read the payment as staff can."""
        return (await self.staff.GetPayment(pb.GetPaymentRequest(order_id=order_id))).payment

    async def ledger(self, order_id: str = "", page_size: int = 500, page_token: str = "") -> list[LedgerEntry]:
        """The entries of the ledger, page after page."""
        request = pb.ListLedgerEntriesRequest(order_id=order_id, page_size=page_size, page_token=page_token)
        entries: list[LedgerEntry] = []
        while True:
            page = await self.staff.ListLedgerEntries(request)
            entries += page.entries
            if not page.next_page_token:
                return entries
            request.page_token = page.next_page_token

    async def whole_ledger(self, count: int, **query: Any) -> list[LedgerEntry]:
        """The entries of all orders, as soon as there are so many: any transaction on the server holds them back."""
        async with asyncio.timeout(10):
            while len(entries := await self.ledger(**query)) < count:
                pass
        return entries

    async def facts(self, order_id: str) -> list[Message]:
        """What was published about an order, in its order."""
        async with self.service.database.read() as reader:
            rows = await reader.all(
                "SELECT type, payload FROM outbox WHERE aggregate_id = %(id)s ORDER BY position", id=order_id
            )
        return [FACTS[row["type"]].FromString(row["payload"]) for row in rows]

    async def until(self, order_id: str, state: int) -> None:
        """Let time pass until the background has brought a payment to a state."""
        async with asyncio.timeout(10):
            while (await self.get(order_id)).state != state:
                await self.clock.advance(Settings().ask_again_seconds / 2)

    async def charge(self, order_id: str) -> Charge:
        """What the provider says."""
        request = provider_pb.GetChargeRequest(reference=order_id)
        return (await self.provider.GetCharge(request, metadata=AS_PAYMENTS)).charge

    async def release_hold(self, order_id: str) -> None:
        """Have the provider give up a hold, without telling payments."""
        request = provider_pb.VoidChargeRequest(request_id=new_id(), reference=order_id)
        await self.provider.VoidCharge(request, metadata=AS_PAYMENTS)


@asynccontextmanager
async def running_provider(directory: Path) -> AsyncIterator[RunningService]:
    """The simulated provider, with the charges a directory remembers."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRADEWIND_PROVIDER_DIRECTORY", str(directory))
        async with running(provider_service, "tools.stack.fakes.provider") as it:
            provider_socket(directory).symlink_to(it.target.removeprefix("unix:"))
            yield it
            provider_socket(directory).unlink()


@asynccontextmanager
async def running_payments(database_url: str, directory: Path) -> AsyncIterator[Payments]:
    """The service on its database. Its provider is the one of that directory, which may be running or not."""
    clock, tokens = ManualClock(), Tokens()
    address = f"unix:{provider_socket(directory)}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRADEWIND_ADDRESS_OF_PROVIDER", address)
        async with (
            running(service, "services.payments", database_url=database_url, clock=clock, tokens=tokens) as it,
            grpc.aio.insecure_channel(address) as to_provider,
        ):
            yield Payments(
                it,
                clock,
                orders=PaymentServiceStub(it.channel(peer="orders")),
                staff=PaymentServiceStub(it.channel(token=tokens.staff())),
                provider=ProviderServiceStub(to_provider),
            )


def provider_socket(directory: Path) -> Path:
    """Where the provider of a directory listens."""
    return directory / "provider.sock"


@contextmanager
def losing(operation: str) -> Iterator[None]:
    """The block's call is lost between the provider's answer and our commit."""
    failpoints.arm(f"payments.{operation}.after_provider=error")
    try:
        with refused(errors.Unavailable, "FAIL_POINT"):
            yield
    finally:
        failpoints.arm("")


def new_id() -> str:
    """A request or order id nobody has used."""
    return str(uuid.uuid4())


def authorization(order_id: str, **fields: Any) -> pb.AuthorizePaymentRequest:
    """A request for the amount of an order, with a card that is approved."""
    return pb.AuthorizePaymentRequest(
        **{"request_id": new_id(), "order_id": order_id, "amount": AMOUNT, "payment_token": "tok_approve", **fields}
    )
