"""The catalogue, the warehouse and the till, as orders sees them."""

from collections.abc import Callable, Sequence

import grpc

from services.orders.domain import Checkout, Money, Offer
from tradewind.catalog.v1 import catalog_service_pb2, product_pb2
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.inventory.v1 import inventory_service_pb2, stock_pb2
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.payments.v1 import payment_service_pb2
from tradewind.payments.v1.payment_service_pb2_grpc import PaymentServiceStub
from tradewind.type.v1 import money_pb2


class Peers:
    """Every method but `find_offers` may be repeated with its request id, and raises a permanent Problem to refuse."""

    def __init__(self, connect: Callable[[str], grpc.aio.Channel]) -> None:
        self._catalog = CatalogServiceStub(connect("catalog"))
        self._inventory = InventoryServiceStub(connect("inventory"))
        self._payments = PaymentServiceStub(connect("payments"))

    async def find_offers(self, skus: Sequence[str]) -> dict[str, Offer]:
        """What the catalogue says of the products it knows."""
        response = await self._catalog.BatchGetProducts(catalog_service_pb2.BatchGetProductsRequest(skus=skus))
        return {product.sku: _offer(product) for product in response.products}

    async def reserve_stock(self, checkout: Checkout, request_id: str) -> None:
        """Hold every line, or none."""
        lines = [stock_pb2.StockLine(sku=item.sku, quantity=item.quantity) for item in checkout.items]
        await self._inventory.ReserveStock(
            inventory_service_pb2.ReserveStockRequest(request_id=request_id, order_id=checkout.order_id, lines=lines)
        )

    async def release_stock(self, checkout: Checkout, request_id: str) -> None:
        """Hold nothing any more, and never again for this order."""
        await self._inventory.ReleaseStock(
            inventory_service_pb2.ReleaseStockRequest(request_id=request_id, order_id=checkout.order_id)
        )

    async def commit_stock(self, checkout: Checkout, request_id: str) -> None:
        """Take what is held from the shelf."""
        await self._inventory.CommitStock(
            inventory_service_pb2.CommitStockRequest(request_id=request_id, order_id=checkout.order_id)
        )

    async def authorize_payment(self, checkout: Checkout, request_id: str) -> None:
        """Hold the total on the customer's account."""
        await self._payments.AuthorizePayment(
            payment_service_pb2.AuthorizePaymentRequest(
                request_id=request_id,
                order_id=checkout.order_id,
                amount=_money_message(checkout.total),
                payment_token=checkout.payment_token,
            )
        )

    async def void_payment(self, checkout: Checkout, request_id: str) -> None:
        """Give up the hold, or bar the one that is still on its way."""
        await self._payments.VoidPayment(
            payment_service_pb2.VoidPaymentRequest(request_id=request_id, order_id=checkout.order_id)
        )

    async def capture_payment(self, checkout: Checkout, request_id: str) -> None:
        """Take what is held."""
        await self._payments.CapturePayment(
            payment_service_pb2.CapturePaymentRequest(request_id=request_id, order_id=checkout.order_id)
        )

    async def refund_payment(self, checkout: Checkout, request_id: str) -> None:
        """Give back what was taken, if it was."""
        await self._payments.RefundPayment(
            payment_service_pb2.RefundPaymentRequest(request_id=request_id, order_id=checkout.order_id)
        )


def _offer(product: product_pb2.Product) -> Offer:
    price = Money(product.price.currency_code, product.price.minor_units)
    return Offer(product.sku, product.name, price, product.state == product_pb2.PRODUCT_STATE_RETIRED)


def _money_message(money: Money) -> money_pb2.Money:
    return money_pb2.Money(currency_code=money.currency_code, minor_units=money.minor_units)
