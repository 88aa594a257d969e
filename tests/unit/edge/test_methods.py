"""The edge's view of the contract: what cannot be served is said by name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions, ServiceOptions

from chassis.contract.descriptors import ContractError
from tools.codegen.edge import image, methods
from tools.paths import ROOT
from tradewind.policy.v1 import policy_pb2

PLACE_ORDER = "tradewind.orders.v1.OrderService/PlaceOrder"
"""The first method of its service, which leaves its caller to the service."""


def misspell_the_path(options: MethodOptions, _: ServiceOptions) -> None:
    """Another name than the request's."""
    options.Extensions[annotations_pb2.http].post = "/v1/orders/{ordr_id}:place"


def open_it_to_nobody(_: MethodOptions, service: ServiceOptions) -> None:
    """As in a proto that forgot to say, at the method and at its service."""
    service.ClearExtension(policy_pb2.service)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (misspell_the_path, "/v1/orders/{ordr_id}:place names ordr_id, which is no field of PlaceOrderRequest"),
        (open_it_to_nobody, "declares no caller"),
    ],
)
def test_a_method_that_cannot_be_served_is_named(
    tmp_path: Path, spoil: Callable[[MethodOptions, ServiceOptions], None], complaint: str
) -> None:
    """With what is wrong with it."""
    contract = FileDescriptorSet.FromString((ROOT / "gen/tradewind.binpb").read_bytes())
    services = [service for file in contract.file if file.package == "tradewind.orders.v1" for service in file.service]
    [(service, method)] = [(each, method) for each in services for method in each.method if method.name == "PlaceOrder"]
    spoil(method.options, service.options)
    spoiled = tmp_path / "spoiled.binpb"
    spoiled.write_bytes(contract.SerializeToString())

    with pytest.raises(ContractError) as error:
        methods.reachable(image.load(spoiled))
    assert PLACE_ORDER in str(error.value)
    assert complaint in str(error.value)
