"""The OpenAPI document: what the contract says about a field is what a reader of the document learns."""

from typing import Any

import pytest

from tools.codegen.edge import image, methods, openapi
from tools.paths import ROOT


@pytest.fixture(scope="module")
def document() -> Any:
    """The document of the contract as it is."""
    loaded = image.load(ROOT / "gen/tradewind.binpb")
    return openapi.document(loaded, methods.reachable(loaded))


def schema(document: Any, name: str) -> Any:
    """A message's schema."""
    return document["components"]["schemas"][name]


def test_limits_of_the_contract_are_limits_of_the_schema(document: Any) -> None:
    """Lengths, ranges, patterns and counts."""
    item = schema(document, "tradewind.orders.v1.ItemToOrder")["properties"]
    assert (item["sku"]["maxLength"], item["sku"]["pattern"]) == (32, "^[A-Za-z0-9][A-Za-z0-9_-]*$")
    assert (item["quantity"]["minimum"], item["quantity"]["maximum"]) == (1, 10_000)
    items = schema(document, "tradewind.orders.v1.PlaceOrderRequest")["properties"]["items"]
    assert (items["minItems"], items["maxItems"]) == (1, 100)


def test_a_field_whose_zero_breaks_a_rule_is_required(document: Any) -> None:
    """Leaving it out means sending its zero."""
    login = schema(document, "tradewind.identity.v1.LoginRequest")
    assert login["required"] == ["request_id", "email", "password"]
    assert (login["properties"]["email"]["format"], login["properties"]["password"]["format"]) == ("email", "password")


def test_what_is_in_the_path_is_not_in_the_body(document: Any) -> None:
    """Each field has one place."""
    cancel = document["paths"]["/v1/orders/{order_id}:cancel"]["post"]
    assert [(each["name"], each["in"], each["required"]) for each in cancel["parameters"]] == [
        ("order_id", "path", True)
    ]
    assert "order_id" not in cancel["requestBody"]["content"]["application/json"]["schema"]["properties"]


def test_what_a_caller_needs_is_told(document: Any) -> None:
    """No token, one if at hand, or one in any case; and server streams as events."""
    assert document["paths"]["/v1/products"]["get"]["security"] == [{}, {"token": []}]
    watch = document["paths"]["/v1/orders/{order_id}:watch"]["get"]
    assert watch["security"] == [{"token": []}]
    assert list(watch["responses"]["200"]["content"]) == ["text/event-stream"]


def test_everything_is_explained(document: Any) -> None:
    """Every operation and every field of every message has its proto's comment."""
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    fields = [
        field
        for name, message in document["components"]["schemas"].items()
        for field in message.get("properties", {}).values()
        if name.startswith("tradewind.")
    ]
    assert operations
    assert [operation for operation in operations if not operation["summary"]] == []
    assert fields
    assert [field for field in fields if not field["description"]] == []
