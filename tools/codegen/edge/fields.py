"""What `mesh/edge/fields.lua` needs to know of the contract: the fields of every message a request may hold."""

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.codegen.edge.image import Image
from tools.codegen.edge.methods import Method


def messages_table(image: Image, methods: list[Method]) -> str:
    """A Lua table: for each message its fields, by both spellings, and of each what the text of the filter says."""
    names = sorted(_reachable(image, [method.request for method in methods]))
    return "MESSAGES = {\n" + "".join(_message(image, name) for name in names) + "}\n"


def _message(image: Image, name: str) -> str:
    fields = {
        spelling: _known(image, field)
        for field in image.messages[name].field
        for spelling in (field.name, field.json_name)
    }
    return f"  ['{name}'] = {{{', '.join(f'{spelling} = {known}' for spelling, known in fields.items())}}},\n"


def _known(image: Image, field: FieldDescriptorProto) -> str:
    known = [f"name = '{field.name}'"]
    if held := _walkable(image, field):
        known.append(f"holds = '{held}'")
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        known.append("repeated = true")
    return f"{{{', '.join(known)}}}"


def _walkable(image: Image, field: FieldDescriptorProto) -> str | None:
    """The message a field holds, if its fields are to be looked at.

    Well-known types have a JSON of their own, and the keys of a map are not fields.
    """
    name = field.type_name.removeprefix(".")
    is_ours = name.startswith("tradewind.") and name in image.messages
    return name if is_ours and not image.messages[name].options.map_entry else None


def _reachable(image: Image, roots: list[str]) -> set[str]:
    found: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += [held for field in image.messages[name].field if (held := _walkable(image, field))]
    return found
