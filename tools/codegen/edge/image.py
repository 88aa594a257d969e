"""The contract image: every message, method and comment of the protos, as descriptors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2 as _annotations
from google.api import field_behavior_pb2 as _field_behavior
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

# Reading a descriptor understands the options whose extensions are imported, and no others.
from buf.validate import validate_pb2 as _validate
from tradewind.policy.v1 import policy_pb2 as _policy

_UNDERSTOOD = (_validate, _annotations, _field_behavior, _policy)


@dataclass(frozen=True)
class Image:
    """Descriptors and comments by full name (`tradewind.orders.v1.Order.status`)."""

    files: tuple[FileDescriptorProto, ...]
    messages: dict[str, DescriptorProto]
    enums: dict[str, EnumDescriptorProto]
    comments: dict[str, str]


def load(path: Path) -> Image:
    """Read an image that was written with imports and source info."""
    files = tuple(FileDescriptorSet.FromString(path.read_bytes()).file)
    return Image(
        files=files,
        messages={name: message for file in files for name, message in _messages(file)},
        enums={name: enum for file in files for name, enum in _enums(file)},
        comments={name: comment for file in files for name, comment in _comments(file)},
    )


def _messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    pending = [(f"{file.package}.{message.name}", message) for message in file.message_type]
    while pending:
        name, message = pending.pop()
        yield name, message
        pending += [(f"{name}.{nested.name}", nested) for nested in message.nested_type]


def _enums(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
    yield from ((f"{file.package}.{enum.name}", enum) for enum in file.enum_type)
    for name, message in _messages(file):
        yield from ((f"{name}.{enum.name}", enum) for enum in message.enum_type)


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        comment = location.leading_comments or location.trailing_comments
        if comment:
            yield _name_at(file, list(location.path)), " ".join(comment.split())


def _name_at(file: FileDescriptorProto, path: list[int]) -> str:
    """The full name of what a source path leads to; fields and enum values are named below their parent."""
    here: FileDescriptorProto | DescriptorProto | EnumDescriptorProto | FieldDescriptorProto = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = here.DESCRIPTOR.fields_by_number[number]
        if field.message_type is None or not field.is_repeated:
            break
        here = getattr(here, field.name)[index]
        names.append(here.name)
    return ".".join(names)
