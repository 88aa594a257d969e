"""What was released is kept: a later contract asks no more of its callers, and moves nothing they look for."""

from collections.abc import Callable

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FieldOptions,
    FileDescriptorSet,
    MethodOptions,
)

from buf.validate import validate_pb2
from tools.check.promises import broken
from tools.paths import ROOT
from tradewind.policy.v1 import policy_pb2

ORDERS = "tradewind.orders.v1"


def released() -> FileDescriptorSet:
    """The contract as it is, to be changed."""
    return FileDescriptorSet.FromString((ROOT / "gen/tradewind.binpb").read_bytes())


def message(image: FileDescriptorSet, name: str) -> DescriptorProto:
    """A message of orders."""
    return next(
        each for file in image.file if file.package == ORDERS for each in file.message_type if each.name == name
    )


def field(image: FileDescriptorSet, of: str, name: str) -> FieldDescriptorProto:
    """A field of a message of orders."""
    return next(each for each in message(image, of).field if each.name == name)


def rules(image: FileDescriptorSet, of: str, name: str) -> validate_pb2.FieldRules:
    """What buf.validate demands of a field of orders."""
    return field(image, of, name).options.Extensions[validate_pb2.field]


def list_orders(image: FileDescriptorSet) -> MethodOptions:
    """The options of ListOrders, which is for customers."""
    services = [service for file in image.file if file.package == ORDERS for service in file.service]
    return next(method.options for service in services for method in service.method if method.name == "ListOrders")


def for_caller(caller: policy_pb2.Caller.ValueType) -> Callable[[FileDescriptorSet], object]:
    """Let others call ListOrders."""
    return lambda image: setattr(list_orders(image).Extensions[policy_pb2.method], "caller", caller)


def at_another_path(image: FileDescriptorSet) -> None:
    """Move ListOrders."""
    list_orders(image).Extensions[annotations_pb2.http].get = "/v1/all-orders"


def at_another_path_too(image: FileDescriptorSet) -> None:
    """Let ListOrders be found at one more."""
    list_orders(image).Extensions[annotations_pb2.http].additional_bindings.add(get="/v1/all-orders")


def by_another_id(image: FileDescriptorSet) -> None:
    """Order the fact by its customer."""
    message(image, "OrderPlaced").options.Extensions[policy_pb2.event].aggregate_id = "customer_id"


def with_one_more_expression(image: FileDescriptorSet) -> None:
    """Demand something else of what is ordered."""
    rules(image, "PlaceOrderRequest", "items").cel.add(id="items.few", expression="size(this) < 9")


def with_another_expression(image: FileDescriptorSet) -> None:
    """Demand something else under the id of what was demanded."""
    rules(image, "PlaceOrderRequest", "items").cel[0].expression = "size(this) < 9"


def with_another_pattern(image: FileDescriptorSet) -> None:
    """Let in other SKUs."""
    rules(image, "ItemToOrder", "sku").string.pattern = "^[a-z]+$"


def by_default_for_staff(image: FileDescriptorSet) -> None:
    """Let OrderService say that its methods are for staff."""
    [service] = [each for file in image.file for each in file.service if each.name == "OrderService"]
    service.options.Extensions[policy_pb2.service].caller = policy_pb2.CALLER_STAFF


def empty_refused(image: FileDescriptorSet) -> None:
    """Demand the customer."""
    rules(image, "ListOrdersRequest", "customer_id").ClearField("ignore")


def not_secret(image: FileDescriptorSet) -> None:
    """Let the card be seen."""
    field(image, "PlaceOrderRequest", "payment_token").options.debug_redact = False


def with_one_more_field(rule: validate_pb2.FieldRules) -> Callable[[FileDescriptorSet], object]:
    """Add a text with a rule."""
    options = FieldOptions()
    options.Extensions[validate_pb2.field].CopyFrom(rule)
    text, single = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.LABEL_OPTIONAL
    return lambda image: message(image, "PlaceOrderRequest").field.add(
        name="voucher", number=9, type=text, label=single, options=options
    )


def limited(of: str, name: str, **limits: int) -> Callable[[FileDescriptorSet], object]:
    """Set limits of a field, by the kind of rules it has."""

    def limit(image: FileDescriptorSet) -> None:
        declared = rules(image, of, name)
        kind = getattr(declared, declared.WhichOneof("type") or "")
        for rule, value in limits.items():
            setattr(kind, rule, value)

    return limit


def muting(topics: list[int]) -> Callable[[FileDescriptorSet], object]:
    """Let these topics be muted; 2 alone can be."""

    def limit(image: FileDescriptorSet) -> None:
        files = [file for file in image.file if file.package == "tradewind.notifications.v1"]
        asked = next(each for file in files for each in file.message_type if each.name == "UpdatePreferencesRequest")
        muted = next(each for each in asked.field if each.name == "muted_topics")
        getattr(muted.options.Extensions[validate_pb2.field].repeated.items.enum, "in")[:] = topics

    return limit


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (for_caller(policy_pb2.CALLER_STAFF), "OrderService/ListOrders: no longer for customers"),
        (
            for_caller(policy_pb2.CALLER_ANYONE),
            "OrderService/ListOrders: was not for anybody and services, and is",
        ),
        (at_another_path, "OrderService/ListOrders: no longer at GET /v1/orders"),
        (by_another_id, "OrderPlaced: its aggregate was told by order_id, and is by customer_id"),
        (
            limited("PlaceOrderRequest", "items", max_items=99),
            "PlaceOrderRequest.items: repeated.max_items was 100, and is 99",
        ),
        (limited("ItemToOrder", "quantity", gte=2), "ItemToOrder.quantity: int64.gte was 1, and is 2"),
        (
            limited("PlaceOrderRequest", "payment_token", min_len=9),
            "PlaceOrderRequest.payment_token: string.min_len was not demanded, and is 9",
        ),
        (with_one_more_expression, "PlaceOrderRequest.items: cel items.few was not demanded, and is size(this) < 9"),
        (
            with_another_expression,
            "PlaceOrderRequest.items: cel items.unique_sku was this.map(item, item.sku).unique(), and is size(this) < 9",
        ),
        (
            with_another_pattern,
            "ItemToOrder.sku: string.pattern was ^[A-Za-z0-9][A-Za-z0-9_-]*$, and is ^[a-z]+$",
        ),
        (not_secret, "PlaceOrderRequest.payment_token: was a secret, and is not"),
        (empty_refused, "ListOrdersRequest.customer_id: an empty value was let through, and is not"),
        (
            with_one_more_field(validate_pb2.FieldRules(required=True)),
            "PlaceOrderRequest.voucher: is new, and cannot be left out",
        ),
        (
            with_one_more_field(validate_pb2.FieldRules(string=validate_pb2.StringRules(min_len=1))),
            "PlaceOrderRequest.voucher: is new, and cannot be left out",
        ),
    ],
)
def test_a_promise_that_is_not_kept_is_named(change: Callable[[FileDescriptorSet], object], told: str) -> None:
    """Each by itself, and nothing besides."""
    now = released()
    change(now)
    assert broken(released(), now) == [f"{ORDERS}.{told}"]


def test_a_caller_in_another_s_place_is_named_for_both() -> None:
    """Who was let in and is not, and who was not and is."""
    now = released()
    for_caller(policy_pb2.CALLER_SERVICE)(now)
    name = f"{ORDERS}.OrderService/ListOrders"
    assert broken(released(), now) == [
        f"{name}: no longer for customers and staff",
        f"{name}: was not for services, and is",
    ]


def test_a_default_of_a_service_is_a_promise_of_each_method() -> None:
    """A method that says nothing of its own changes with it."""
    now = released()
    by_default_for_staff(now)
    short_names = ("PlaceOrder", "CancelOrder", "GetOrder", "ListOrders", "WatchOrder")
    assert broken(released(), now) == [f"{ORDERS}.OrderService/{name}: no longer for customers" for name in short_names]


def test_a_value_that_is_no_longer_taken_is_named() -> None:
    """What was among the values is among them for ever."""
    now = released()
    muting([1])(now)
    name = "tradewind.notifications.v1.UpdatePreferencesRequest.muted_topics"
    assert broken(released(), now) == [f"{name}: repeated.items.enum.in was (2,), and is (1,)"]


@pytest.mark.parametrize(
    "change",
    [
        at_another_path_too,
        limited("PlaceOrderRequest", "items", max_items=101),
        limited("ItemToOrder", "quantity", gte=0),
        with_one_more_field(validate_pb2.FieldRules(string=validate_pb2.StringRules(max_len=9))),
        muting([1, 2]),
    ],
)
def test_who_promises_more_breaks_nothing(change: Callable[[FileDescriptorSet], object]) -> None:
    """Wider limits, more addresses, fields that may stay empty."""
    now = released()
    change(now)
    assert now != released()
    assert broken(released(), now) == []
