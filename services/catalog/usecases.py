"""What the catalogue does: one function each."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Unpack

from chassis.core.clock import Clock
from chassis.database import Database, Transaction
from services.catalog import publisher, store
from services.catalog.domain.imports import Batch, Import, ImportLine, ImportNotFound, StreamEmpty, judge
from services.catalog.domain.products import (
    Money,
    PriceChange,
    Product,
    ProductFilter,
    ProductNotFound,
    ProductState,
    Revision,
    SkuTaken,
    canonical,
)


class UseCases:
    """Changes happen inside the caller's transaction; an import has one of its own for each batch."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create_product(
        self, tx: Transaction, *, sku: str, name: str, description: str, category: str, price: Money
    ) -> Product:
        """Put a product on sale. Raises SkuTaken."""
        now = self._clock.now()
        product = Product(
            sku=canonical(sku),
            name=name,
            description=description,
            category=category,
            price=price,
            created_at=now,
            updated_at=now,
        )
        if not await store.create_product(tx, product):
            raise SkuTaken("there is a product with this SKU", sku=product.sku)
        publisher.product_created(tx, product)
        return product

    async def update_product(self, tx: Transaction, sku: str, *, etag: str, **revision: Unpack[Revision]) -> Product:
        """Change a product; one that already is as wanted stays as it is. Raises ProductNotFound, EtagMismatch."""
        product = await self._lock(tx, sku)
        product.check_etag(etag)
        revised = product.revised(self._clock.now(), **revision)
        if revised is not product:
            await store.update_product(tx, revised)
            publisher.product_changed(tx, revised)
        return revised

    async def retire_product(self, tx: Transaction, sku: str) -> Product:
        """Take a product off sale; one that is off sale stays as it is. Raises ProductNotFound."""
        product = await self._lock(tx, sku)
        retired = product.revised(self._clock.now(), state=ProductState.RETIRED)
        if retired is not product:
            await store.update_product(tx, retired)
            publisher.product_retired(tx, retired)
        return retired

    async def _lock(self, tx: Transaction, sku: str) -> Product:
        product = await store.lock_product(tx, canonical(sku))
        if product is None:
            raise ProductNotFound("there is no such product", sku=canonical(sku))
        return product

    async def get_product(self, sku: str) -> Product:
        """One product, on sale or retired. Raises ProductNotFound."""
        async with self._database.read() as reader:
            product = await store.find_product(reader, canonical(sku))
        if product is None:
            raise ProductNotFound("there is no such product", sku=canonical(sku))
        return product

    async def batch_get_products(self, skus: Sequence[str]) -> tuple[list[Product], list[str]]:
        """The products that exist and the SKUs that do not, both in the order asked for."""
        wanted = list(dict.fromkeys(map(canonical, skus)))
        async with self._database.read() as reader:
            found = await store.find_products(reader, wanted)
        return [found[sku] for sku in wanted if sku in found], [sku for sku in wanted if sku not in found]

    async def list_products(self, wanted: ProductFilter, *, after: str, limit: int) -> list[Product]:
        """At most `limit` products whose SKU follows `after`, in ascending order; perhaps as they were a moment ago."""
        async with self._database.read(stale_ok=True) as reader:
            return await store.list_products(reader, wanted, after=after, limit=limit)

    async def list_price_changes(self, sku: str, *, before_version: int, limit: int) -> list[PriceChange]:
        """At most `limit` prices from before a version of the product, newest first. Raises ProductNotFound."""
        async with self._database.read(stale_ok=True) as reader:
            changes = await store.list_price_changes(reader, canonical(sku), before_version=before_version, limit=limit)
        # Every product has the price it was created with, and a page token only points to where there is more.
        if not changes:
            raise ProductNotFound("there is no such product", sku=canonical(sku))
        return changes

    async def import_products(self, lines: AsyncIterator[ImportLine]) -> Import:
        """Store lines batch by batch as they arrive; what a broken stream leaves are whole batches.

        Raises StreamEmpty, RequestIdChanged, LinesOutOfOrder.
        """
        import_id = None
        async with aclosing(_batches(lines)) as batches:
            async for import_id, batch in batches:
                await self._store_batch(import_id, batch)
        if import_id is None:
            raise StreamEmpty("the stream has no line")
        return await self.get_import(import_id)

    async def _store_batch(self, import_id: str, batch: Batch) -> None:
        async with self._database.transaction() as tx:
            now = self._clock.now()
            progress = await store.lock_import(tx, import_id, now)
            fresh = batch.after(progress.last_line)
            if fresh.last_line <= progress.last_line:
                return
            products = await store.merge_offers(tx, list(fresh.offers.values()), now)
            for product in products:
                publish = publisher.product_created if product.version == 1 else publisher.product_changed
                publish(tx, product)
            created = sum(product.version == 1 for product in products)
            await store.record_batch(tx, import_id, fresh, progress, created=created, changed=len(products) - created)

    async def get_import(self, import_id: str) -> Import:
        """How far an import has come. Raises ImportNotFound."""
        async with self._database.read() as reader:
            found = await store.find_import(reader, import_id)
        if found is None:
            raise ImportNotFound("no line of this import was stored", import_id=import_id)
        return found


async def _batches(lines: AsyncIterator[ImportLine]) -> AsyncGenerator[tuple[str, Batch], None]:
    """Judge lines as they arrive and group them by what is stored together, each group with its import's id."""
    before = None
    batch = Batch()
    async for line in lines:
        if before is not None:
            line.check_follows(before)
        judged = judge(line)
        if not batch.has_room_for(judged):
            yield line.import_id, batch
            batch = Batch()
        batch.add(judged)
        before = line
    if before is not None:
        yield before.import_id, batch
