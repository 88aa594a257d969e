"""The contract of payments, answered by its use cases."""

from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.rpc.call import Call
from services.payments.domain import LedgerAccount, LedgerEntry, Money, Payment, State
from services.payments.publisher import money_message
from services.payments.usecases import UseCases
from tradewind.payments.v1 import payment_pb2
from tradewind.payments.v1 import payment_service_pb2 as pb

DEFAULT_PAGE_SIZE = 50


class PaymentServicer:
    """tradewind.payments.v1.PaymentService.

    The provider is asked before the transaction that keeps its outcome, for ever, together with the answer.
    """

    def __init__(self, usecases: UseCases, pages: Pages) -> None:
        self._usecases = usecases
        self._pages = pages

    async def AuthorizePayment(self, request: pb.AuthorizePaymentRequest, call: Call) -> pb.AuthorizePaymentResponse:
        """Hold the amount of an order."""
        amount = Money(request.amount.currency_code, request.amount.minor_units)
        outcome = await self._usecases.authorize(request.order_id, amount, request.payment_token)
        async with call.once(keep_forever=True) as tx:
            payment = await self._usecases.record(tx, outcome)
            return tx.reply(pb.AuthorizePaymentResponse(payment=_payment_message(payment)))

    async def CapturePayment(self, request: pb.CapturePaymentRequest, call: Call) -> pb.CapturePaymentResponse:
        """Take the held amount."""
        outcome = await self._usecases.capture(request.order_id)
        async with call.once(keep_forever=True) as tx:
            payment = await self._usecases.record(tx, outcome)
            return tx.reply(pb.CapturePaymentResponse(payment=_payment_message(payment)))

    async def VoidPayment(self, request: pb.VoidPaymentRequest, call: Call) -> pb.VoidPaymentResponse:
        """Give up the hold."""
        outcome = await self._usecases.void(request.order_id)
        async with call.once(keep_forever=True) as tx:
            payment = await self._usecases.record(tx, outcome)
            return tx.reply(pb.VoidPaymentResponse(payment=_payment_message(payment)))

    async def RefundPayment(self, request: pb.RefundPaymentRequest, call: Call) -> pb.RefundPaymentResponse:
        """Give the taken amount back."""
        outcome = await self._usecases.refund(request.order_id)
        async with call.once(keep_forever=True) as tx:
            payment = await self._usecases.record(tx, outcome)
            return tx.reply(pb.RefundPaymentResponse(payment=_payment_message(payment)))

    async def GetPayment(self, request: pb.GetPaymentRequest, call: Call) -> pb.GetPaymentResponse:
        """The payment of an order."""
        return pb.GetPaymentResponse(payment=_payment_message(await self._usecases.get_payment(request.order_id)))

    async def ListLedgerEntries(self, request: pb.ListLedgerEntriesRequest, call: Call) -> pb.ListLedgerEntriesResponse:
        """A page of the ledger."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self._pages.cursor(request, request.page_token) or {"after": 0}
        entries = await self._usecases.list_entries(request.order_id or None, after=cursor["after"], limit=size + 1)
        page = pb.ListLedgerEntriesResponse(entries=map(_entry_message, entries[:size]))
        if len(entries) > size:
            page.next_page_token = self._pages.token(request, {"after": entries[size - 1].position})
        return page


def _payment_message(payment: Payment) -> payment_pb2.Payment:
    return payment_pb2.Payment(
        order_id=payment.order_id,
        amount=money_message(payment.amount),
        state=_STATES[payment.state],
        decline_code=payment.decline_code,
        create_time=timestamp(payment.created_at),
        update_time=timestamp(payment.updated_at),
    )


def _entry_message(entry: LedgerEntry) -> payment_pb2.LedgerEntry:
    return payment_pb2.LedgerEntry(
        position=entry.position,
        booking_id=entry.booking_id,
        order_id=entry.order_id,
        kind=_KINDS[entry.kind],
        account=_ACCOUNTS[entry.account],
        amount=money_message(entry.amount),
        book_time=timestamp(entry.booked_at),
    )


_STATES = {
    State.PENDING: payment_pb2.PAYMENT_STATE_PENDING,
    State.AUTHORIZED: payment_pb2.PAYMENT_STATE_AUTHORIZED,
    State.CAPTURED: payment_pb2.PAYMENT_STATE_CAPTURED,
    State.DECLINED: payment_pb2.PAYMENT_STATE_DECLINED,
    State.VOIDED: payment_pb2.PAYMENT_STATE_VOIDED,
    State.REFUNDED: payment_pb2.PAYMENT_STATE_REFUNDED,
}

_KINDS = {"capture": payment_pb2.BOOKING_KIND_CAPTURE, "refund": payment_pb2.BOOKING_KIND_REFUND}

_ACCOUNTS = {
    LedgerAccount.PROVIDER_RECEIVABLE: payment_pb2.ACCOUNT_PROVIDER_RECEIVABLE,
    LedgerAccount.SALES_REVENUE: payment_pb2.ACCOUNT_SALES_REVENUE,
    LedgerAccount.REFUNDS: payment_pb2.ACCOUNT_REFUNDS,
}
