"""What callers outside may use, and on which terms: the methods of the contract as the edge sees them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import DescriptorProto, MethodDescriptorProto, ServiceDescriptorProto

from chassis.contract.descriptors import Caller, ContractError, resolved_policy
from chassis.contract.manifest import SERVED_BY_ALL
from tools.codegen.edge.image import Image
from tradewind.policy.v1 import policy_pb2

VARIABLE = re.compile(r"\{(\w+)[^}]*\}")


@dataclass(frozen=True)
class Binding:
    """One way to call a method over plain HTTP."""

    verb: str
    template: str
    """`/v1/orders/{order_id}:cancel`"""
    body: str
    """`*` when the body is the request, empty when there is none."""

    @property
    def variables(self) -> list[str]:
        """The fields that are in the path: `order_id`."""
        return VARIABLE.findall(self.template)


@dataclass(frozen=True)
class Method:
    """One RPC that callers outside may use."""

    name: str
    """`tradewind.orders.v1.OrderService/PlaceOrder`"""
    caller: Caller
    timeout_seconds: float
    client_streaming: bool
    server_streaming: bool
    takes_secret: bool
    """Whether the request itself holds a field marked `debug_redact`: a password, a token."""
    request: str
    """`tradewind.orders.v1.PlaceOrderRequest`"""
    response: str
    bindings: tuple[Binding, ...]

    @property
    def service(self) -> str:
        """The service that implements it, by the name in its manifest: `orders`."""
        return self.name.split(".")[1]

    @property
    def grpc_service(self) -> str:
        """As in a descriptor: `tradewind.orders.v1.OrderService`."""
        return self.name.partition("/")[0]

    @property
    def short_name(self) -> str:
        """Without its service: `PlaceOrder`."""
        return self.name.partition("/")[2]

    @property
    def is_guessable(self) -> bool:
        """Whether anybody may try a secret on it."""
        return self.caller is Caller.ANYONE and self.takes_secret


def reachable(image: Image) -> list[Method]:
    """Every method callers outside may use, in the order of the protos.

    SERVICE methods are not among them, nor is what every service serves: a route leads to one service.

    Raises ContractError for a method that does not say who may call it, or has a path its request knows nothing of.
    """
    return [
        method
        for method in _all(image)
        if method.caller is not Caller.SERVICE and not method.name.startswith(SERVED_BY_ALL)
    ]


def _all(image: Image) -> Iterator[Method]:
    for file in image.files:
        for service in file.service:
            for method in service.method:
                yield _read(f"{file.package}.{service.name}/{method.name}", service, method, image)


def _read(name: str, service: ServiceDescriptorProto, method: MethodDescriptorProto, image: Image) -> Method:
    policy = resolved_policy(service.options, method.options)
    if policy.caller == policy_pb2.CALLER_UNSPECIFIED:
        raise ContractError(f"{name} declares no caller")
    request = image.messages[method.input_type.removeprefix(".")]
    bindings = tuple(_bindings(method))
    _check_paths(name, bindings, request)
    return Method(
        name=name,
        caller=Caller(policy.caller),
        timeout_seconds=policy.timeout.ToTimedelta().total_seconds(),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        takes_secret=any(field.options.debug_redact for field in request.field),
        request=method.input_type.removeprefix("."),
        response=method.output_type.removeprefix("."),
        bindings=bindings,
    )


def _check_paths(name: str, bindings: Iterable[Binding], request: DescriptorProto) -> None:
    known = {field.name for field in request.field}
    for binding in bindings:
        if unknown := [variable for variable in binding.variables if variable not in known]:
            raise ContractError(f"{name}: {binding.template} names {unknown[0]}, which is no field of {request.name}")


def _bindings(method: MethodDescriptorProto) -> Iterator[Binding]:
    if not method.options.HasExtension(annotations_pb2.http):
        return
    rule = method.options.Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        yield _binding(each)


def _binding(rule: HttpRule) -> Binding:
    verb = rule.WhichOneof("pattern")
    return Binding(verb=verb.upper(), template=getattr(rule, verb), body=rule.body)
