"""The catalogue as its callers reach it, and short words for what they ask of it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from chassis.testing import ManualClock, RunningService, Tokens, running
from services.catalog.__main__ import service
from tradewind.catalog.v1 import catalog_service_pb2 as pb
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.catalog.v1.product_events_pb2 import ProductChanged, ProductCreated, ProductRetired
from tradewind.catalog.v1.product_pb2 import Product
from tradewind.type.v1.money_pb2 import Money

FACTS = {fact.DESCRIPTOR.full_name: fact for fact in (ProductCreated, ProductChanged, ProductRetired)}


@dataclass
class Catalog:
    """The service, as staff and as anyone else reaches it."""

    service: RunningService
    staff: CatalogServiceStub
    anyone: CatalogServiceStub

    async def create(self, sku: str = "LAMP-1", **fields: Any) -> Product:
        """Put a product on sale."""
        return (await self.staff.CreateProduct(creation(sku, **fields))).product

    async def update(self, sku: str, *paths: str, etag: str = "", **fields: Any) -> Product:
        """Change the named fields of a product."""
        mask = FieldMask(paths=paths or list(fields))
        request = pb.UpdateProductRequest(request_id=request_id(), sku=sku, update_mask=mask, etag=etag, **fields)
        return (await self.staff.UpdateProduct(request)).product

    async def retire(self, sku: str) -> Product:
        """Take a product off sale."""
        return (await self.staff.RetireProduct(pb.RetireProductRequest(request_id=request_id(), sku=sku))).product

    async def get(self, sku: str) -> Product:
        """Read a product as anyone can."""
        return (await self.anyone.GetProduct(pb.GetProductRequest(sku=sku))).product

    async def skus(self, **query: Any) -> list[str]:
        """The SKUs of a list, page after page."""
        return [
            product.sku for product in await self.pages("ListProducts", pb.ListProductsRequest(**query), "products")
        ]

    async def prices(self, sku: str, **query: Any) -> list[int]:
        """What a product has cost, the newest price first."""
        request = pb.ListPriceChangesRequest(sku=sku, **query)
        return [change.price.minor_units for change in await self.pages("ListPriceChanges", request, "price_changes")]

    async def pages(self, method: str, request: Any, field: str) -> list[Any]:
        """Everything a List method has to show, asked for page by page."""
        shown: list[Any] = []
        while True:
            page = await getattr(self.anyone, method)(request)
            shown += getattr(page, field)
            if not page.next_page_token:
                return shown
            request.page_token = page.next_page_token

    async def facts(self) -> list[Message]:
        """What was published, in its order."""
        async with self.service.database.read() as reader:
            rows = await reader.all("SELECT type, payload FROM outbox ORDER BY position")
        return [FACTS[row["type"]].FromString(row["payload"]) for row in rows]


@asynccontextmanager
async def running_catalog(database_url: str, clock: ManualClock) -> AsyncIterator[Catalog]:
    """The service on a database, for the block."""
    tokens = Tokens()
    async with running(service, "services.catalog", database_url=database_url, clock=clock, tokens=tokens) as it:
        staff = CatalogServiceStub(it.channel(token=tokens.staff()))
        yield Catalog(it, staff, CatalogServiceStub(it.channel()))


def request_id() -> str:
    """An id no request had before."""
    return str(uuid.uuid4())


def pounds(pence: int) -> Money:
    """An amount in pounds sterling."""
    return Money(currency_code="GBP", minor_units=pence)


def creation(sku: str = "LAMP-1", **fields: Any) -> pb.CreateProductRequest:
    """A product to put on sale, with something in every field that needs it."""
    return pb.CreateProductRequest(
        **{"request_id": request_id(), "sku": sku, "name": "Brass lamp", "price": pounds(2450), **fields}
    )
