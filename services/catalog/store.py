"""Rows of the catalogue's database as the domain sees them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.database import Reader, Row, Transaction
from chassis.database.statements import Statements
from services.catalog.domain.imports import KEPT_REJECTIONS, Batch, Import, Offer, Rejection
from services.catalog.domain.products import Money, PriceChange, Product, ProductFilter, ProductState

SQL = Statements("services.catalog")


async def create_product(tx: Transaction, product: Product) -> bool:
    """Store a product that was not there before; False when its SKU is taken."""
    return await tx.execute(SQL.create_product, **_columns(product)) == 1


async def lock_product(tx: Transaction, sku: str) -> Product | None:
    """The product, held until the transaction ends."""
    row = await tx.first(SQL.lock_product, sku=sku)
    return _product(row) if row else None


async def update_product(tx: Transaction, product: Product) -> None:
    """Store the next version of a product that this transaction holds."""
    await tx.execute(SQL.update_product, **_columns(product))


async def find_product(reader: Reader, sku: str) -> Product | None:
    """One product, on sale or retired."""
    row = await reader.first(SQL.find_product, sku=sku)
    return _product(row) if row else None


async def find_products(reader: Reader, skus: Iterable[str]) -> dict[str, Product]:
    """The products that exist, by SKU."""
    return {row["sku"]: _product(row) for row in await reader.all(SQL.find_products, skus=list(skus))}


async def list_products(reader: Reader, wanted: ProductFilter, *, after: str, limit: int) -> list[Product]:
    """Products in ascending order of SKU, from the one that follows `after`."""
    rows = await reader.all(
        SQL.list_products,
        category=wanted.category,
        name_contains=wanted.name_contains,
        include_retired=wanted.include_retired,
        after=after,
        limit=limit,
    )
    return [_product(row) for row in rows]


async def list_price_changes(reader: Reader, sku: str, *, before_version: int, limit: int) -> list[PriceChange]:
    """What a product cost before one of its versions, the newest first."""
    rows = await reader.all(SQL.list_price_changes, sku=sku, before_version=before_version, limit=limit)
    return [PriceChange(row["version"], _price(row), row["effective_at"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a batch continues its import."""

    last_line: int
    rejected: int


async def lock_import(tx: Transaction, import_id: str, now: datetime) -> Progress:
    """How far the import has come; held, and begun if need be, until the transaction ends."""
    row = await tx.one(SQL.lock_import, import_id=import_id, now=now)
    return Progress(row["last_line"], row["rejected"])


async def merge_offers(tx: Transaction, offers: Sequence[Offer], now: datetime) -> list[Product]:
    """Make the catalogue have these products, each SKU once; return the ones that are new or became others."""
    await tx.execute(SQL.create_offers)
    await tx.copy(SQL.copy_offers, _rows(offers))
    return [_product(row) for row in await tx.all(SQL.merge_offers, now=now)]


async def record_batch(
    tx: Transaction, import_id: str, batch: Batch, progress: Progress, *, created: int, changed: int
) -> None:
    """Count what became of a batch, and keep its rejections while there is room for them."""
    kept = batch.rejections[: max(0, KEPT_REJECTIONS - progress.rejected)]
    await tx.execute(
        SQL.record_batch,
        import_id=import_id,
        created=created,
        changed=changed,
        unchanged=len(batch.offers) - created - changed,
        rejected=len(batch.rejections),
        last_line=batch.last_line,
        line_numbers=[rejection.line_number for rejection in kept],
        reasons=[rejection.reason for rejection in kept],
        messages=[rejection.message for rejection in kept],
    )


async def find_import(reader: Reader, import_id: str) -> Import | None:
    """How far an import has come."""
    row = await reader.first(SQL.find_import, import_id=import_id)
    if row is None:
        return None
    rejections = tuple(Rejection(*rejection) for rejection in row.pop("rejections"))
    return Import(**row, rejections=rejections)


async def _rows(offers: Sequence[Offer]) -> AsyncIterator[tuple[str | int, ...]]:
    for offer in offers:
        yield offer.sku, offer.name, offer.category, offer.price.currency_code, offer.price.minor_units


def _columns(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "category": product.category,
        "currency_code": product.price.currency_code,
        "price_minor_units": product.price.minor_units,
        "state": product.state.value,
        "version": product.version,
        "created_at": product.created_at,
        "updated_at": product.updated_at,
    }


def _product(row: Row) -> Product:
    return Product(
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        price=_price(row),
        state=ProductState(row["state"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _price(row: Row) -> Money:
    return Money(row["currency_code"], row["price_minor_units"])
