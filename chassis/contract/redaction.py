"""Messages as a person may see them: as JSON, without what is marked `debug_redact`."""

from typing import Any, Final

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message

REDACTED: Final = "[redacted]"


def as_json(message_type: str, payload: bytes) -> str | None:
    """What an encoded message says, with proto field names; None when it cannot be read.

    Its proto must be imported. A secret text reads `[redacted]`; a secret that is no text is left out.
    """
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(message_type)
        message = message_factory.GetMessageClass(found).FromString(payload)
    except (KeyError, DecodeError):
        return None
    _redact(message)
    return json_format.MessageToJson(message, preserving_proto_field_name=True)


def _redact(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            message.ClearField(field.name)
            _hide(message, field.name, value)
        elif field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                _redact(each)


def _hide(message: Message, name: str, value: Any) -> None:
    if isinstance(value, str):
        setattr(message, name, REDACTED)
