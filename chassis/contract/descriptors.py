"""What every RPC and every event declares in its proto, as Python values."""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions, ServiceOptions
from google.protobuf.message import Message

from tradewind.policy.v1 import policy_pb2


class ContractError(Exception):
    """A proto does not declare what it must."""


class Caller(Enum):
    """Who may call a method."""

    ANYONE = policy_pb2.CALLER_ANYONE
    CUSTOMER = policy_pb2.CALLER_CUSTOMER
    STAFF = policy_pb2.CALLER_STAFF
    SERVICE = policy_pb2.CALLER_SERVICE


# Compared by identity, since each is read once: it is the key of every cache on the path of a call.
@dataclass(frozen=True, eq=False)
class Method:
    """One RPC and its policy."""

    name: str
    """`tradewind.orders.v1.OrderService/PlaceOrder`"""
    caller: Caller
    timeout: float
    """Seconds the whole call may take."""
    is_retryable: bool
    """Whether the client may send it again by itself: it is idempotent, and its request is one message, not a stream."""
    has_request_id: bool
    """Whether it changes something, and so remembers its answers by request id."""
    is_sealed: bool
    """Whether its answer holds fields marked `debug_redact`."""
    client_streaming: bool
    server_streaming: bool
    request_type: type[Message]
    response_type: type[Message]

    @property
    def path(self) -> str:
        """The HTTP/2 path."""
        return f"/{self.name}"

    @property
    def service(self) -> str:
        """The gRPC service: `tradewind.orders.v1.OrderService`."""
        return self.name.partition("/")[0]

    @property
    def short_name(self) -> str:
        """The name alone: `PlaceOrder`."""
        return self.name.partition("/")[2]

    @property
    def type(self) -> str:
        """The kind of RPC by grpc-prometheus's convention."""
        streaming = (self.client_streaming, self.server_streaming)
        return {
            (False, False): "unary",
            (True, False): "client_stream",
            (False, True): "server_stream",
            (True, True): "bidi_stream",
        }[streaming]


@cache
def method(name: str) -> Method:
    """The method of that name (`package.Service/Method`, a leading `/` allowed). Its `_pb2` module must be imported."""
    service, _, short = name.lstrip("/").partition("/")
    try:
        found: MethodDescriptor = descriptor_pool.Default().FindMethodByName(f"{service}.{short}")
    except KeyError:
        raise ContractError(f"no method {name} in the protos that are imported") from None
    return _read(found)


def methods_of(service: str) -> tuple[Method, ...]:
    """Every method of a service (`tradewind.orders.v1.OrderService`), in the order of the proto."""
    try:
        found = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        raise ContractError(f"no service {service} in the protos that are imported") from None
    return tuple(method(f"{service}/{m.name}") for m in found.methods)


def resolved_policy(service: ServiceOptions, method: MethodOptions) -> policy_pb2.MethodPolicy:
    """What a method promises and demands: each field as the method sets it, else as its service does.

    The only place that knows of defaults. Without an objective, where the one that is set is empty.
    """
    policy, own = policy_pb2.MethodPolicy(), method.Extensions[policy_pb2.method]
    policy.CopyFrom(service.Extensions[policy_pb2.service])
    # Not by merging alone: that would add a method's nanoseconds to its service's seconds.
    for field, _ in own.ListFields():
        policy.ClearField(field.name)  # type: ignore[arg-type]  # a name that the descriptor gives, so it is one
    policy.MergeFrom(own)
    if policy.objective == policy_pb2.Objective():
        policy.ClearField("objective")
    return policy


@cache
def aggregate_id_field(event: Descriptor) -> str:
    """The name of the field that holds an event's aggregate id."""
    options: Any = event.GetOptions()
    if not options.HasExtension(policy_pb2.event):
        raise ContractError(f"{event.full_name} is no event: it lacks the option tradewind.policy.v1.event")
    field: str = options.Extensions[policy_pb2.event].aggregate_id
    return field


def _read(found: MethodDescriptor) -> Method:
    options: MethodOptions = found.GetOptions()
    name = f"{found.containing_service.full_name}/{found.name}"
    policy = resolved_policy(found.containing_service.GetOptions(), options)
    if options.idempotency_level == descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN:
        raise ContractError(f"{name} declares no idempotency_level")
    if policy.caller == policy_pb2.CALLER_UNSPECIFIED or policy.timeout.ToTimedelta().total_seconds() <= 0:
        raise ContractError(f"{name} declares no caller or no timeout, and its service neither")
    return Method(
        name=name,
        caller=Caller(policy.caller),
        timeout=policy.timeout.ToTimedelta().total_seconds(),
        is_retryable=not found.client_streaming,
        has_request_id="request_id" in found.input_type.fields_by_name,
        is_sealed=_holds_secrets(found.output_type, frozenset()),
        client_streaming=found.client_streaming,
        server_streaming=found.server_streaming,
        request_type=message_factory.GetMessageClass(found.input_type),
        response_type=message_factory.GetMessageClass(found.output_type),
    )


def _holds_secrets(message: Descriptor, seen: frozenset[str]) -> bool:
    if message.full_name in seen:
        return False
    seen |= {message.full_name}
    return any(_is_secret(field, seen) for field in message.fields)


def _is_secret(field: FieldDescriptor, seen: frozenset[str]) -> bool:
    options: Any = field.GetOptions()
    return bool(options.debug_redact) or (field.message_type is not None and _holds_secrets(field.message_type, seen))
