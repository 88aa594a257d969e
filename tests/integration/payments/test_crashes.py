"""Money when processes are killed: payments between its provider's answer and its own commit, and the provider itself."""

from pathlib import Path

import grpc
import pytest

from chassis.rpc.metadata import ASSERTED_PEER
from tests.conftest import NewDatabase
from tests.integration.payments.client import (
    AS_PAYMENTS,
    authorization,
    new_id,
    provider_socket,
    running_payments,
    running_provider,
)
from tests.integration.processes import KILLED, log_of, process, secrets
from tradewind.payments.v1 import payment_service_pb2 as pb
from tradewind.payments.v1.payment_pb2 import PAYMENT_STATE_AUTHORIZED, PAYMENT_STATE_CAPTURED
from tradewind.payments.v1.payment_service_pb2_grpc import PaymentServiceStub
from tradewind.provider.v1 import provider_service_pb2 as provider_pb
from tradewind.provider.v1.provider_service_pb2_grpc import ProviderServiceStub

AS_ORDERS = [(ASSERTED_PEER, "orders")]


@pytest.mark.parametrize("instant", ["authorize", "capture"])
async def test_payments_killed_after_the_provider_answered_charges_once(
    new_database: NewDatabase, tmp_path: Path, instant: str
) -> None:
    """SIGKILL between the provider's answer and our commit: the same request, sent again, charges nothing again.

    The log it leaves, with all it can say, does not tell the card.
    """
    database_url = new_database("payments")
    settings = {
        "SECRETS_DIR": secrets(tmp_path / "secrets", database_url),
        "ADDRESS_OF_PROVIDER": f"unix:{provider_socket(tmp_path)}",
        "FAILPOINTS": f"payments.{instant}.after_provider=kill",
    }
    order_id, socket = new_id(), tmp_path / "payments.sock"
    authorize, capture = authorization(order_id), pb.CapturePaymentRequest(request_id=new_id(), order_id=order_id)
    async with running_provider(tmp_path):
        async with process("services.payments", socket, **settings) as (killed, channel):
            orders = PaymentServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await orders.AuthorizePayment(authorize, metadata=AS_ORDERS)
                await orders.CapturePayment(capture, metadata=AS_ORDERS)
            assert await killed.wait() == KILLED
        assert "tok_" not in log_of(socket).read_text()
        async with running_payments(database_url, tmp_path) as payments:
            assert (await payments.orders.AuthorizePayment(authorize)).payment.state == PAYMENT_STATE_AUTHORIZED
            assert (await payments.orders.CapturePayment(capture)).payment.state == PAYMENT_STATE_CAPTURED
            assert (await payments.charge(order_id)).times_charged == 1
            assert [fact.DESCRIPTOR.name for fact in await payments.facts(order_id)] == [
                "PaymentAuthorized",
                "PaymentCaptured",
            ]
            assert len(await payments.ledger(order_id)) == 2


async def test_a_killed_provider_remembers_its_charges(tmp_path: Path) -> None:
    """What it has answered is on disk: nobody's money is forgotten."""
    reference, settings = new_id(), {"PROVIDER_DIRECTORY": str(tmp_path / "charges")}
    authorize = provider_pb.AuthorizeChargeRequest(
        request_id=new_id(), reference=reference, amount=authorization(reference).amount, payment_token="tok_approve"
    )
    capture = provider_pb.CaptureChargeRequest(request_id=new_id(), reference=reference)
    async with process("tools.stack.fakes.provider", tmp_path / "first.sock", **settings) as (killed, channel):
        await ProviderServiceStub(channel).AuthorizeCharge(authorize, metadata=AS_PAYMENTS)
        taken = await ProviderServiceStub(channel).CaptureCharge(capture, metadata=AS_PAYMENTS)
        killed.kill()
        assert await killed.wait() == KILLED
    async with process("tools.stack.fakes.provider", tmp_path / "second.sock", **settings) as (_, channel):
        known = await ProviderServiceStub(channel).GetCharge(
            provider_pb.GetChargeRequest(reference=reference), metadata=AS_PAYMENTS
        )
    assert known.charge == taken.charge
    assert known.charge.times_charged == 1
