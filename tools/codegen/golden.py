"""Keeps one encoded example of every event for ever, so that a test can prove that old facts still decode.

`./taskw golden` adds examples of the events that have none. One that exists is never written again: facts like
it may lie in a broker or an outbox.
"""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tools.paths import ROOT

IMAGE = ROOT / "gen/tradewind.binpb"
GOLDEN = ROOT / "tests/contract/golden"

AN_INSTANT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def main() -> None:
    """Write the missing examples, each as the bytes of the event and as the JSON that they mean."""
    about = "Keep an encoded example of every event that has none."
    argparse.ArgumentParser(prog="./taskw golden", description=about).parse_args()
    for event in events():
        encoded = GOLDEN / f"{event.full_name}.binpb"
        if not encoded.exists():
            message = example(event)
            encoded.write_bytes(message.SerializeToString(deterministic=True))
            encoded.with_suffix(".json").write_text(as_json(message), encoding="utf-8")
            print(f"added {encoded.relative_to(ROOT)}")


def events() -> list[Descriptor]:
    """Every message of a `*_events.proto` in the image."""
    image = FileDescriptorSet.FromString(IMAGE.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:
        pool.AddSerializedFile(file.SerializeToString())
    names = [file.name for file in image.file if file.name.endswith("_events.proto")]
    return [message for name in names for message in pool.FindFileByName(name).message_types_by_name.values()]


def example(message: Descriptor) -> Message:
    """A message with every field set to something that tells its name or number; of a oneof, the last."""
    filled: Message = message_factory.GetMessageClass(message)()
    for field in message.fields:
        fill(filled, field)
    return filled


def fill(message: Message, field: FieldDescriptor) -> None:
    """Set one field, a repeated one with two elements."""
    if field.message_type is not None:
        inner = example_of_message(field.message_type)
        target = getattr(message, field.name)
        target.extend([inner, inner]) if field.is_repeated else target.CopyFrom(inner)
        return
    value = example_of_scalar(field)
    if field.is_repeated:
        getattr(message, field.name).extend([value, value])
    else:
        setattr(message, field.name, value)


def example_of_message(message: Descriptor) -> Message:
    """An instant for a timestamp, a filled message for ours."""
    if message.full_name == Timestamp.DESCRIPTOR.full_name:
        instant: Any = message_factory.GetMessageClass(message)()
        instant.FromDatetime(AN_INSTANT)
        return instant  # type: ignore[no-any-return]
    return example(message)


def example_of_scalar(field: FieldDescriptor) -> object:
    """The field's name as text, its number as a number, the last value of an enum."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return field.name.encode() if field.type == FieldDescriptor.TYPE_BYTES else field.name
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_ENUM:
            return last_value(field)
        case _:
            return field.number


def last_value(field: FieldDescriptor) -> int:
    """The number of an enum's last value; its first means that nothing was said."""
    assert field.enum_type is not None
    return field.enum_type.values[-1].number


def as_json(message: Message) -> str:
    """The JSON of a message, in the proto's names, for people to read and tests to compare."""
    return json.dumps(json_format.MessageToDict(message, preserving_proto_field_name=True), indent=2) + "\n"


if __name__ == "__main__":
    main()
