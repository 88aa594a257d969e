"""The catalogue's contract, answered by its use cases."""

from collections.abc import AsyncIterator

from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.core import ids
from chassis.rpc.call import Call
from services.catalog.domain.imports import Import, ImportLine
from services.catalog.domain.products import Money, PriceChange, ProductFilter, Revision
from services.catalog.publisher import money_message, product_message
from services.catalog.usecases import UseCases
from tradewind.catalog.v1 import catalog_service_pb2 as pb
from tradewind.catalog.v1.product_pb2 import PriceChange as PriceChangeMessage
from tradewind.type.v1 import money_pb2

DEFAULT_PAGE_SIZE = 50
NO_VERSION_IS_LATER = 2**63 - 1


class CatalogServicer:
    """tradewind.catalog.v1.CatalogService."""

    def __init__(self, usecases: UseCases, pages: Pages) -> None:
        self._usecases = usecases
        self._pages = pages

    async def CreateProduct(self, request: pb.CreateProductRequest, call: Call) -> pb.CreateProductResponse:
        """Put a product on sale."""
        async with call.once() as tx:
            product = await self._usecases.create_product(
                tx,
                sku=request.sku,
                name=request.name,
                description=request.description,
                category=request.category,
                price=_money(request.price),
            )
            return tx.reply(pb.CreateProductResponse(product=product_message(product)))

    async def UpdateProduct(self, request: pb.UpdateProductRequest, call: Call) -> pb.UpdateProductResponse:
        """Change what the mask names."""
        async with call.once() as tx:
            product = await self._usecases.update_product(tx, request.sku, etag=request.etag, **_revision(request))
            return tx.reply(pb.UpdateProductResponse(product=product_message(product)))

    async def RetireProduct(self, request: pb.RetireProductRequest, call: Call) -> pb.RetireProductResponse:
        """Take a product off sale."""
        async with call.once() as tx:
            product = await self._usecases.retire_product(tx, request.sku)
            return tx.reply(pb.RetireProductResponse(product=product_message(product)))

    async def GetProduct(self, request: pb.GetProductRequest, call: Call) -> pb.GetProductResponse:
        """One product."""
        return pb.GetProductResponse(product=product_message(await self._usecases.get_product(request.sku)))

    async def BatchGetProducts(self, request: pb.BatchGetProductsRequest, call: Call) -> pb.BatchGetProductsResponse:
        """Several products."""
        products, missing = await self._usecases.batch_get_products(request.skus)
        return pb.BatchGetProductsResponse(products=map(product_message, products), missing_skus=missing)

    async def ListProducts(self, request: pb.ListProductsRequest, call: Call) -> pb.ListProductsResponse:
        """A page of products."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self._pages.cursor(request, request.page_token) or {"after": ""}
        wanted = ProductFilter(
            category=request.category,
            name_contains=request.name_contains,
            include_retired=request.include_retired,
        )
        products = await self._usecases.list_products(wanted, after=cursor["after"], limit=size + 1)
        page = pb.ListProductsResponse(products=map(product_message, products[:size]))
        if len(products) > size:
            page.next_page_token = self._pages.token(request, {"after": products[size - 1].sku})
        return page

    async def ListPriceChanges(self, request: pb.ListPriceChangesRequest, call: Call) -> pb.ListPriceChangesResponse:
        """A page of prices."""
        size = request.page_size or DEFAULT_PAGE_SIZE
        cursor = self._pages.cursor(request, request.page_token) or {"before": NO_VERSION_IS_LATER}
        changes = await self._usecases.list_price_changes(request.sku, before_version=cursor["before"], limit=size + 1)
        page = pb.ListPriceChangesResponse(price_changes=map(_price_change_message, changes[:size]))
        if len(changes) > size:
            page.next_page_token = self._pages.token(request, {"before": changes[size - 1].version})
        return page

    async def ImportProducts(
        self, requests: AsyncIterator[pb.ImportProductsRequest], call: Call
    ) -> pb.ImportProductsResponse:
        """Take a stream of lines."""
        imported = await self._usecases.import_products(_line(request) async for request in requests)
        return pb.ImportProductsResponse(report=_report_message(imported))

    async def GetImport(self, request: pb.GetImportRequest, call: Call) -> pb.GetImportResponse:
        """How far an import has come."""
        return pb.GetImportResponse(report=_report_message(await self._usecases.get_import(request.import_id)))


def _money(money: money_pb2.Money) -> Money:
    return Money(money.currency_code, money.minor_units)


def _revision(request: pb.UpdateProductRequest) -> Revision:
    revision = Revision()
    if "name" in request.update_mask.paths:
        revision["name"] = request.name
    if "description" in request.update_mask.paths:
        revision["description"] = request.description
    if "category" in request.update_mask.paths:
        revision["category"] = request.category
    if "price" in request.update_mask.paths:
        revision["price"] = _money(request.price)
    return revision


def _line(request: pb.ImportProductsRequest) -> ImportLine:
    return ImportLine(
        import_id=ids.canonical(request.request_id),
        number=request.line_number,
        sku=request.sku,
        name=request.name,
        category=request.category,
        price=request.price,
        currency_code=request.currency_code,
    )


def _price_change_message(change: PriceChange) -> PriceChangeMessage:
    return PriceChangeMessage(price=money_message(change.price), effective_time=timestamp(change.effective_at))


def _report_message(found: Import) -> pb.ImportReport:
    return pb.ImportReport(
        created=found.created,
        changed=found.changed,
        unchanged=found.unchanged,
        rejected=found.rejected,
        rejected_lines=[
            pb.RejectedLine(
                line_number=line.line_number,
                reason=pb.LineRejection.Value(f"LINE_REJECTION_{line.reason}"),
                message=line.message,
            )
            for line in found.rejections
        ],
        last_line=found.last_line,
    )
