"""Prints a file descriptor as the .proto it was compiled from, for dependencies that ship only the descriptor.

Covers what buf/validate/validate.proto uses: flat proto2 messages with oneofs, extensions and custom options. Comments
are not in a descriptor and so are lost.
"""

import json
from collections.abc import Iterable, Iterator
from typing import cast

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    text_format,
    timestamp_pb2,
)
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message

_LABELS = {FieldDescriptorProto.LABEL_OPTIONAL: "optional", FieldDescriptorProto.LABEL_REPEATED: "repeated"}


def render(serialized: bytes, notice: str) -> str:
    """The text of a serialized FileDescriptorProto, below a line with its authors' copyright `notice`."""
    file = _parse(serialized)
    lines = [
        f"// {notice}",
        f"// Generated from the descriptor of {file.name}. DO NOT EDIT.",
        f'syntax = "{file.syntax or "proto2"}";',
        f"package {file.package};",
        *(f'import "{name}";' for name in file.dependency),
        *(f"option {option};" for option in _options(file.options)),
        *(line for extension in file.extension for line in _extension(extension)),
        *(line for message in file.message_type for line in _message(message)),
        *(line for enum in file.enum_type for line in _enum(enum)),
    ]
    return "\n".join(lines) + "\n"


def _parse(serialized: bytes) -> FileDescriptorProto:
    """Parse in a pool that knows the file itself, since its fields may carry the very options it defines."""
    pool = descriptor_pool.DescriptorPool()
    for known in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(serialized)
    twin = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.FileDescriptorProto"))
    return cast("FileDescriptorProto", twin.FromString(serialized))


def _message(message: DescriptorProto) -> Iterator[str]:
    yield f"message {message.name} {{"
    yield from (f"  reserved {_range(r.start, r.end)};" for r in message.reserved_range)
    yield from (f'  reserved "{name}";' for name in message.reserved_name)
    yield from (f"  extensions {_range(r.start, r.end)};" for r in message.extension_range)
    yield from (f"  {_field(field)}" for field in message.field if not field.HasField("oneof_index"))
    for index, oneof in enumerate(message.oneof_decl):
        yield f"  oneof {oneof.name} {{"
        yield from (f"    option {option};" for option in _options(oneof.options))
        members = (field for field in message.field if field.HasField("oneof_index") and field.oneof_index == index)
        yield from (f"    {_declaration(field)}" for field in members)
        yield "  }"
    yield "}"


def _extension(field: FieldDescriptorProto) -> Iterable[str]:
    return (f"extend {field.extendee} {{", f"  {_field(field)}", "}")


def _field(field: FieldDescriptorProto) -> str:
    return f"{_LABELS[field.label]} {_declaration(field)}"


def _declaration(field: FieldDescriptorProto) -> str:
    kind = field.type_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    options = ", ".join(_options(field.options))
    return f"{kind} {field.name} = {field.number}{f' [{options}]' if options else ''};"


def _enum(enum: EnumDescriptorProto) -> Iterator[str]:
    yield f"enum {enum.name} {{"
    yield from (f"  {value.name} = {value.number};" for value in enum.value)
    yield "}"


def _options(options: Message) -> Iterator[str]:
    for field, value in options.ListFields():
        name = f"({field.full_name})" if field.is_extension else field.name
        yield f"{name} = {_option_value(value)}"


def _option_value(value: Message | str | bool | int) -> str:
    if isinstance(value, Message):
        return "{" + text_format.MessageToString(value, as_one_line=True) + "}"
    return json.dumps(value)  # JSON spells strings, booleans and numbers as protobuf does


def _range(start: int, end: int) -> str:
    last = end - 1
    return (
        str(start) if start == last else f"{start} to {'max' if end == FieldDescriptor.MAX_FIELD_NUMBER + 1 else last}"
    )
