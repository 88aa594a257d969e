"""Decoding and validation: what comes in is what the contract allows, or every way in which it is not is told."""

from collections.abc import AsyncIterator, Sequence

import protovalidate
from google.protobuf.message import DecodeError, Message

from chassis.contract.descriptors import Method
from chassis.core import errors
from chassis.core.errors import Violation
from chassis.rpc.call import Call
from chassis.rpc.interceptor import Proceed

_validator = protovalidate.Validator()


async def decode_and_validate(call: Call, proceed: Proceed) -> None:
    """Turns bytes into messages that keep to the contract. Raises InvalidArgument; for a stream, at the message at fault."""
    if call.method.client_streaming:
        call.requests = _stream(call.method, call.raw_request)
    else:
        call.request = _message(call.method, call.raw_request)
    await proceed(call)


async def _stream(method: Method, raw: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for data in raw:
        yield _message(method, data)


def _message(method: Method, data: bytes) -> Message:
    try:
        message = method.request_type.FromString(data)
    except DecodeError:
        name = method.request_type.DESCRIPTOR.full_name
        complaint = f"the request is not a valid {name}: its bytes cannot be decoded, or a text is not UTF-8"
        raise errors.InvalidArgument(complaint, reason="REQUEST_MALFORMED") from None
    violations = _validator.collect_violations(message)
    if violations:
        raise _invalid(violations)
    return message


def _invalid(violations: "Sequence[protovalidate.Violation]") -> errors.InvalidArgument:
    found = tuple(map(_violation, violations))
    summary = "; ".join(f"{v.field}: {v.description}" for v in found[:3])
    more = f" (and {len(violations) - 3} more)" if len(violations) > 3 else ""
    return errors.InvalidArgument(summary + more, reason="REQUEST_INVALID", violations=found)


def _violation(violation: protovalidate.Violation) -> Violation:
    proto = violation.proto
    path = ".".join(
        element.field_name + (f"[{element.subscript.value}]" if element.subscript is not None else "")
        for element in (proto.field.elements if proto.field else ())
    )
    return Violation(path, proto.message, proto.rule_id.upper().replace(".", "_"))
