"""What happened to products, told as facts."""

from chassis.contract.wire import timestamp
from chassis.database import Transaction
from services.catalog.domain.products import Money, Product, ProductState
from tradewind.catalog.v1 import product_pb2
from tradewind.catalog.v1.product_events_pb2 import ProductChanged, ProductCreated, ProductRetired
from tradewind.type.v1 import money_pb2


def product_created(tx: Transaction, product: Product) -> None:
    """A product is on sale that was not there before."""
    tx.publish(
        ProductCreated(
            sku=product.sku,
            aggregate_version=product.version,
            product=product_message(product),
            occur_time=timestamp(product.updated_at),
        )
    )


def product_changed(tx: Transaction, product: Product) -> None:
    """A product became another, or is on sale again."""
    tx.publish(
        ProductChanged(
            sku=product.sku,
            aggregate_version=product.version,
            product=product_message(product),
            occur_time=timestamp(product.updated_at),
        )
    )


def product_retired(tx: Transaction, product: Product) -> None:
    """A product is no longer sold."""
    tx.publish(
        ProductRetired(sku=product.sku, aggregate_version=product.version, occur_time=timestamp(product.updated_at))
    )


def product_message(product: Product) -> product_pb2.Product:
    """The product as the world sees it, in facts and in answers alike."""
    return product_pb2.Product(
        sku=product.sku,
        name=product.name,
        description=product.description,
        category=product.category,
        price=money_message(product.price),
        state=_STATES[product.state],
        create_time=timestamp(product.created_at),
        update_time=timestamp(product.updated_at),
        etag=product.etag,
    )


def money_message(money: Money) -> money_pb2.Money:
    """An amount on the wire."""
    return money_pb2.Money(currency_code=money.currency_code, minor_units=money.minor_units)


_STATES = {
    ProductState.ACTIVE: product_pb2.PRODUCT_STATE_ACTIVE,
    ProductState.RETIRED: product_pb2.PRODUCT_STATE_RETIRED,
}
