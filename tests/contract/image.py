"""The contract as the image holds it: the services, methods, messages and events of `tradewind.*`."""

import importlib
from collections.abc import Iterator
from typing import Any

import protovalidate
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from buf.validate import validate_pb2
from tools.paths import ROOT
from tradewind.policy.v1 import policy_pb2


def _files() -> Iterator[FileDescriptor]:
    image = FileDescriptorSet.FromString((ROOT / "gen/tradewind.binpb").read_bytes())
    for name in sorted(file.name for file in image.file if file.name.startswith("tradewind/")):
        importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        yield descriptor_pool.Default().FindFileByName(name)


def _fields_below(message: Descriptor) -> Iterator[FieldDescriptor]:
    """Every field of a message and of the `tradewind.*` messages inside it, each once."""
    seen = {message.full_name}
    waiting = [message]
    while waiting:
        for field in waiting.pop().fields:
            yield field
            inner = field.message_type
            if inner is not None and inner.full_name.startswith("tradewind.") and inner.full_name not in seen:
                seen.add(inner.full_name)
                waiting.append(inner)


FILES = tuple(_files())
MESSAGES = tuple(message for file in FILES for message in file.message_types_by_name.values())
SERVICES = tuple(service for file in FILES for service in file.services_by_name.values())
METHODS = tuple(method for service in SERVICES for method in service.methods)
EVENTS = tuple(message for message in MESSAGES if message.GetOptions().HasExtension(policy_pb2.event))
INCOMING = tuple({field.full_name: field for method in METHODS for field in _fields_below(method.input_type)}.values())
"""The fields of every message that comes in, and of those inside it."""


def method_name(method: MethodDescriptor) -> str:
    """The name manifests use: `tradewind.orders.v1.OrderService/PlaceOrder`."""
    return f"{method.containing_service.full_name}/{method.name}"


def full_name(thing: Descriptor | FieldDescriptor) -> str:
    """The name a test is known by."""
    return thing.full_name


def rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """What buf.validate demands of a field."""
    return field.GetOptions().Extensions[validate_pb2.field]


def refused_fields(message: Descriptor, **values: Any) -> set[str]:
    """The fields that validation refuses, each for itself, in a message with only these values."""
    violations = protovalidate.collect_violations(message_factory.GetMessageClass(message)(**values))
    paths = (violation.proto.field.elements for violation in violations if violation.proto.field)
    return {path[0].field_name for path in paths}
