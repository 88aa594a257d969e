"""Reads facts of any type by the contract image, and keeps their secrets to itself."""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message

from tools.paths import ROOT

REDACTED = "[redacted]"


def as_json(event_type: str, payload: bytes) -> str:
    """What a fact says. Fields marked `debug_redact` are not shown; bytes that cannot be read are, in hex."""
    try:
        fact = message_factory.GetMessageClass(_contracts().FindMessageTypeByName(event_type)).FromString(payload)
    except (KeyError, DecodeError):
        return f"(unreadable: {len(payload)} bytes) {payload.hex()}"
    _redact(fact)
    return json_format.MessageToJson(fact, preserving_proto_field_name=True)


@cache
def _contracts() -> descriptor_pool.DescriptorPool:
    image = descriptor_pb2.FileDescriptorSet.FromString((ROOT / "gen" / "tradewind.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in image.file:
        pool.Add(file)
    return pool


def _redact(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            message.ClearField(field.name)
            _hide(message, field.name, value)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                _redact(each)


def _hide(message: Message, name: str, value: Any) -> None:
    """A text says that it was redacted; anything else is left out."""
    if isinstance(value, str):
        setattr(message, name, REDACTED)
