"""Messages as JSON Schemas: the fields, their limits from `buf.validate`, and the comments of the protos."""

from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from buf.validate import validate_pb2
from tools.codegen.edge.image import Image

Schema = dict[str, Any]

INTEGERS_32 = {Field.TYPE_INT32, Field.TYPE_UINT32, Field.TYPE_SINT32, Field.TYPE_FIXED32, Field.TYPE_SFIXED32}
INTEGERS_64 = {Field.TYPE_INT64, Field.TYPE_UINT64, Field.TYPE_SINT64, Field.TYPE_FIXED64, Field.TYPE_SFIXED64}

WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"},
    "google.protobuf.FieldMask": {"type": "string", "description": "Names of fields, joined by commas."},
}


class Schemas:
    """The schemas of messages and enums, each made when something refers to it."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.components: dict[str, Schema] = {}

    def reference(self, name: str) -> Schema:
        """A reference to the schema of a message or an enum."""
        if name in WELL_KNOWN:
            return WELL_KNOWN[name]
        if name not in self.components:
            self.components[name] = {}  # A message may hold itself.
            self.components[name] = self._enum(name) if name in self._image.enums else self.message(name)
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, name: str, *, without: frozenset[str] = frozenset()) -> Schema:
        """The schema of a message; fields `without` come by another way, such as the path."""
        fields = [field for field in self._image.messages[name].field if field.name not in without]
        schema: Schema = {
            "type": "object",
            "properties": {field.name: self.field(name, field) for field in fields},
            "additionalProperties": False,
        }
        if required := [field.name for field in fields if is_required(field)]:
            schema["required"] = required
        return self._described(schema, name)

    def fields(self, name: str) -> dict[str, Field]:
        """The fields of a message by name."""
        return {field.name: field for field in self._image.messages[name].field}

    def field(self, message: str, field: Field) -> Schema:
        """The schema of one field."""
        rules = _rules(field)
        if field.label != Field.LABEL_REPEATED:
            secret = {"format": "password"} if field.options.debug_redact else {}
            return self._described({**self._value(field), **_limits(rules), **secret}, f"{message}.{field.name}")
        held = field.type_name.removeprefix(".")
        if held in self._image.messages and self._image.messages[held].options.map_entry:
            value = self._image.messages[held].field[1]
            schema = {"type": "object", "additionalProperties": self._value(value)}
        else:
            items = {**self._value(field), **_limits(rules.repeated.items)}
            schema = {"type": "array", "items": items, **_present(rules.repeated, LIST_LIMITS)}
        return self._described(schema, f"{message}.{field.name}")

    def _value(self, field: Field) -> Schema:
        """The schema of a field's value, or of one of its values."""
        if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
            return self.reference(field.type_name.removeprefix("."))
        if field.type in INTEGERS_32:
            return {"type": "integer", "format": "int32"}
        if field.type in INTEGERS_64:
            # Written as a string, since JavaScript's numbers end at 2^53; read as either.
            return {"type": ["string", "integer"], "format": "int64", "pattern": r"^-?\d+$"}
        if field.type == Field.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        return {"type": {Field.TYPE_BOOL: "boolean", Field.TYPE_STRING: "string"}.get(field.type, "number")}

    def _enum(self, name: str) -> Schema:
        values = self._image.enums[name].value
        return self._described({"type": "string", "enum": [value.name for value in values]}, name)

    def _described(self, schema: Schema, name: str) -> Schema:
        comment = self._image.comments.get(name)
        return {"description": comment, **schema} if comment else schema


STRING_LIMITS = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
NUMBER_LIMITS = {"gte": "minimum", "gt": "exclusiveMinimum", "lte": "maximum", "lt": "exclusiveMaximum"}
LIST_LIMITS = {"min_items": "minItems", "max_items": "maxItems", "unique": "uniqueItems"}
FORMATS = ("uuid", "email", "uri", "hostname")
"""Formats that have the same name in both worlds."""


def is_required(field: Field) -> bool:
    """Whether leaving the field out, which is sending its zero, breaks a rule: its `field_behavior` says so."""
    return field_behavior_pb2.REQUIRED in field.options.Extensions[field_behavior_pb2.field_behavior]


def _rules(field: Field) -> validate_pb2.FieldRules:
    rules: validate_pb2.FieldRules = field.options.Extensions[validate_pb2.field]
    return rules


def _limits(rules: validate_pb2.FieldRules) -> Schema:
    """The limits of a single value."""
    kind = rules.WhichOneof("type")
    if kind == "string":
        formatted = [name for name in FORMATS if getattr(rules.string, name)]
        return {**_present(rules.string, STRING_LIMITS), **({"format": formatted[0]} if formatted else {})}
    if kind and kind.startswith(("int", "uint", "sint", "fixed", "sfixed", "double", "float")):
        return _present(getattr(rules, kind), NUMBER_LIMITS)
    return {}


def _present(rules: Any, names: dict[str, str]) -> Schema:
    """The rules that are set, under JSON Schema's names for them."""
    return {theirs: getattr(rules, ours) for ours, theirs in names.items() if rules.HasField(ours)}
