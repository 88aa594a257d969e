"""Nothing that comes in is unbounded: the limits stand in the contract."""

import pytest
from google.protobuf.descriptor import FieldDescriptor

from buf.validate import validate_pb2
from tests.contract.image import INCOMING, full_name, rules

BOUNDED_FORMATS = {"uuid", "tuuid", "ulid", "ip", "ipv4", "ipv6", "hostname"}
FIXED_SIZE_MESSAGES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
INTEGER_RULES = {
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_SINT32: "sint32",
    FieldDescriptor.TYPE_SINT64: "sint64",
}


@pytest.mark.parametrize("field", INCOMING, ids=full_name)
def test_a_field_that_comes_in_has_a_limit(field: FieldDescriptor) -> None:
    """Text and bytes have a length, lists and maps a size, numbers a range, enums only the values that have a name."""
    assert is_bounded(field), f"{field.full_name} has no limit: {rules(field)}"


def is_bounded(field: FieldDescriptor) -> bool:
    """Whether a field, with what is inside it, cannot grow beyond what its rules say."""
    declared = rules(field)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        sized = declared.map.HasField("max_pairs")
        return sized and is_value_bounded(key, declared.map.keys) and is_value_bounded(value, declared.map.values)
    if field.is_repeated:
        return declared.repeated.HasField("max_items") and is_value_bounded(field, declared.repeated.items)
    return is_value_bounded(field, declared)


def is_value_bounded(field: FieldDescriptor, declared: validate_pb2.FieldRules) -> bool:
    """Whether one value of a field's type is bounded by these rules."""
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return is_string_bounded(declared.string)
        case FieldDescriptor.TYPE_BYTES:
            return any(declared.bytes.HasField(rule) for rule in ("max_len", "len", "const"))
        case FieldDescriptor.TYPE_ENUM:
            return declared.enum.defined_only or len(getattr(declared.enum, "in")) > 0
        case FieldDescriptor.TYPE_BOOL:
            return True
        case FieldDescriptor.TYPE_MESSAGE:
            return is_message_bounded(field, declared)
        case _:
            return is_number_bounded(field, declared)


def is_string_bounded(declared: validate_pb2.StringRules) -> bool:
    """A length, a list of the values, or a format of a bounded length."""
    limits = ("max_len", "max_bytes", "len", "len_bytes", "const")
    by_rule = any(declared.HasField(limit) for limit in limits) or len(getattr(declared, "in")) > 0
    return by_rule or declared.WhichOneof("well_known") in BOUNDED_FORMATS


def is_number_bounded(field: FieldDescriptor, declared: validate_pb2.FieldRules) -> bool:
    """Both ends, or a list of the values. Unsigned numbers have their lower end from nature."""
    rule = INTEGER_RULES.get(field.type)
    if rule is None:
        return False
    numbers = getattr(declared, rule)
    has_floor = numbers.WhichOneof("greater_than") is not None or rule.startswith("u")
    return (has_floor and numbers.WhichOneof("less_than") is not None) or len(getattr(numbers, "in")) > 0


def is_message_bounded(field: FieldDescriptor, declared: validate_pb2.FieldRules) -> bool:
    """Ours are looked into field by field; of the well-known ones, only those that cannot grow."""
    name = field.message_type.full_name
    if name == "google.protobuf.FieldMask":
        return len(getattr(declared.field_mask, "in")) > 0
    return name.startswith("tradewind.") or name in FIXED_SIZE_MESSAGES
