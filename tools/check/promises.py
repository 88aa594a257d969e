"""The promises that options make, of which `buf breaking` knows nothing: callers, addresses, limits, secrets, aggregates.

Callers may rely on being admitted, and owners of data on nobody else being. Whether another pattern or expression lets
through all that the old one did only a reader can tell, so that any other is taken for a break.
"""

from collections.abc import Iterator
from typing import Any

import protovalidate
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet, MethodDescriptorProto
from google.protobuf.message import Message

from buf.validate import validate_pb2
from chassis.contract.descriptors import resolved_policy
from tradewind.policy.v1 import policy_pb2

ADMITTED = {
    policy_pb2.CALLER_ANYONE: {"anybody", "customers", "staff", "services"},
    policy_pb2.CALLER_CUSTOMER: {"customers", "staff"},
    policy_pb2.CALLER_STAFF: {"staff"},
    policy_pb2.CALLER_SERVICE: {"services"},
}
CEILINGS = {"max_len", "max_bytes", "max_items", "max_pairs", "lt", "lte"}
FLOORS = {"min_len", "min_bytes", "min_items", "min_pairs", "gt", "gte"}


def broken(released: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """A sentence for each promise of `released` that `now` does not keep. What is gone altogether buf has told of."""
    methods, callers, messages = _methods(now), _callers(now), _messages(now)
    admitted_before = _callers(released)
    found = [
        f"{name}: {what}"
        for name, method in _methods(released).items()
        if name in methods
        for what in (*_of_callers(admitted_before[name], callers[name]), *_of_addresses(method, methods[name]))
    ]
    found += [
        f"{name}{what}"
        for name, message in _messages(released).items()
        if name in messages
        for what in (*_of_message(message, messages[name]), *_of_new_fields(name, message, messages[name], now))
    ]
    return found


def _of_callers(before: set[str], after: set[str]) -> Iterator[str]:
    if lost := before - after:
        yield f"no longer for {' and '.join(sorted(lost))}"
    if won := after - before:
        yield f"was not for {' and '.join(sorted(won))}, and is"


def _of_addresses(old: MethodDescriptorProto, new: MethodDescriptorProto) -> Iterator[str]:
    for address in sorted(_addresses(old) - _addresses(new)):
        yield f"no longer at {address}"


def _addresses(method: MethodDescriptorProto) -> set[str]:
    """Where HTTP finds a method, and where in the body its messages stand."""
    if not method.options.HasExtension(annotations_pb2.http):
        return set()
    rule = method.options.Extensions[annotations_pb2.http]
    return {_address(binding) for binding in (rule, *rule.additional_bindings)}


def _address(rule: http_pb2.HttpRule) -> str:
    verb = rule.WhichOneof("pattern") or ""
    bodies = [f"{name}={getattr(rule, name)}" for name in ("body", "response_body") if getattr(rule, name)]
    return " ".join([verb.upper(), getattr(rule, verb), *bodies])


def _of_message(old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    before, after = (message.options.Extensions[policy_pb2.event].aggregate_id for message in (old, new))
    if before != after:
        yield f": its aggregate was told by {before or 'nothing'}, and is by {after or 'nothing'}"
    for what in _narrower(
        _limits(old.options.Extensions[validate_pb2.message]), _limits(new.options.Extensions[validate_pb2.message])
    ):
        yield f": {what}"
    now = {field.number: field for field in new.field}
    for field in old.field:
        if field.number in now:
            rules = [each.options.Extensions[validate_pb2.field] for each in (field, now[field.number])]
            for what in _narrower(*map(_limits, rules)):
                yield f".{field.name}: {what}"
            if field.options.debug_redact and not now[field.number].options.debug_redact:
                yield f".{field.name}: was a secret, and is not"


def _limits(rules: Message, prefix: str = "") -> dict[str, Any]:
    """Every rule by its path: `string.max_len`, `repeated.items.enum.in`, and the text of each expression by its id."""
    found: dict[str, Any] = {}
    for field, value in rules.ListFields():
        path = f"{prefix}{field.name}"
        if field.name == "cel":
            found |= {f"{path} {rule.id}": rule.expression for rule in value}
        elif field.is_repeated:
            found[path] = tuple(value)
        elif field.message_type is not None:
            found |= _limits(value, f"{path}.")
        else:
            found[path] = value
    return found


def _narrower(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for path, value in new.items():
        if _refuses_more(path.rpartition(".")[2], old.get(path), value):
            yield f"{path} was {old.get(path, 'not demanded')}, and is {value}"
    if old.get("ignore") and old["ignore"] != new.get("ignore"):
        yield "an empty value was let through, and is not"


def _refuses_more(rule: str, old: Any, new: Any) -> bool:
    """Whether a rule, or another value of it, may refuse what was let through before."""
    if rule in CEILINGS:
        return old is None or new < old
    if rule in FLOORS:
        return old is None or new > old
    if rule == "in":
        return old is None or not set(old) <= set(new)
    if rule == "not_in":
        return not set(new) <= set(old or ())
    return rule != "ignore" and new is not False and new != old


def _of_new_fields(name: str, old: DescriptorProto, new: DescriptorProto, now: FileDescriptorSet) -> Iterator[str]:
    """Callers of before leave a new field empty: that must not be refused."""
    known = {field.number for field in old.field}
    added = {field.name for field in new.field if field.number not in known}
    if not added:
        return
    pool = descriptor_pool.DescriptorPool()
    for file in now.file:
        pool.AddSerializedFile(file.SerializeToString())
    empty = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()
    # A validator of its own: the shared one knows a message by its name, and would judge the first contract it saw.
    violations = protovalidate.Validator().collect_violations(empty)
    refused = {violation.proto.field.elements[0].field_name for violation in violations if violation.proto.field}
    for field in sorted(added & refused):
        yield f".{field}: is new, and cannot be left out"


def _callers(image: FileDescriptorSet) -> dict[str, set[str]]:
    """Whom each method admits, by its own policy or its service's."""
    return {
        f"{file.package}.{service.name}/{method.name}": ADMITTED.get(
            resolved_policy(service.options, method.options).caller, set()
        )
        for file in image.file
        for service in file.service
        for method in service.method
    }


def _methods(image: FileDescriptorSet) -> dict[str, MethodDescriptorProto]:
    return {
        f"{file.package}.{service.name}/{method.name}": method
        for file in image.file
        for service in file.service
        for method in service.method
    }


def _messages(image: FileDescriptorSet) -> dict[str, DescriptorProto]:
    """Ours alone."""
    files = [file for file in image.file if file.name.startswith("tradewind/")]
    return {name: message for file in files for name, message in _nested(file.package, list(file.message_type))}


def _nested(prefix: str, messages: list[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from _nested(name, list(message.nested_type))
