"""Products, what they cost, and why one is refused."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypedDict, Unpack

from chassis.core import errors


class SkuTaken(errors.AlreadyExists):
    """A product with this SKU is already there, on sale or retired."""

    reason = "SKU_TAKEN"


class ProductNotFound(errors.NotFound):
    """No product has this SKU."""

    reason = "PRODUCT_NOT_FOUND"


class EtagMismatch(errors.Aborted):
    """Somebody changed the product since it was read."""

    reason = "ETAG_MISMATCH"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of its currency."""

    currency_code: str
    minor_units: int


class ProductState(StrEnum):
    """Whether a product can be bought."""

    ACTIVE = "active"
    RETIRED = "retired"


class Revision(TypedDict, total=False):
    """The fields of a product that can become others; the ones left out stay."""

    name: str
    description: str
    category: str
    price: Money
    state: ProductState


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One thing on sale, as it is at one version."""

    sku: str
    name: str
    description: str = ""
    category: str = ""
    price: Money
    state: ProductState = ProductState.ACTIVE
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """The version, as callers send it back: optimistic concurrency, an update that names an older one is refused."""
        return str(self.version)

    def revised(self, now: datetime, **revision: Unpack[Revision]) -> "Product":
        """The next version with these fields, or the product itself when it already has them.

        It is no earlier than this one: the clock that `now` was read from may be behind the one before.
        """
        revised = replace(self, **revision)
        if revised == self:
            return self
        return replace(revised, version=self.version + 1, updated_at=max(now, self.updated_at))

    def check_etag(self, etag: str) -> None:
        """Refuse a change based on another version; an empty etag means any. Raises EtagMismatch."""
        if etag not in ("", self.etag):
            raise EtagMismatch("the product was changed since it was read", sku=self.sku)


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What a product cost from a version of it on."""

    version: int
    price: Money
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFilter:
    """Which products a list shows; empty texts mean all."""

    category: str = ""
    name_contains: str = ""
    include_retired: bool = False


def canonical(sku: str) -> str:
    """The SKU as it is stored: `85123a` and `85123A` are one product."""
    return sku.upper()
