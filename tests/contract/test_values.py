"""What the rules of a field let in, a service can do something with."""

import re

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from tests.contract.image import INCOMING, full_name, refused_fields, rules

# Page tokens and etags are compared with the service's own, passwords are hashed, the lines of an import are judged one
# by one, and the provider's database is not ours.
NEVER_IN_POSTGRESQL = re.compile(r"\.(page_token|etag|password)$|\.ImportProductsRequest\.|\.provider\.")

MASKS = [field for field in INCOMING if field.message_type == FieldMask.DESCRIPTOR]
TEXTS = [
    field
    for field in INCOMING
    if field.type == FieldDescriptor.TYPE_STRING and not NEVER_IN_POSTGRESQL.search(field.full_name)
]


@pytest.mark.parametrize("mask", MASKS, ids=full_name)
def test_a_mask_names_whole_fields(mask: FieldDescriptor) -> None:
    """The rule `in` alone lets the parts of a field through, too, and no service looks for those."""
    for path in getattr(rules(mask).field_mask, "in"):
        assert mask.name not in refused_fields(mask.containing_type, **{mask.name: FieldMask(paths=[path])})
        assert mask.name in refused_fields(mask.containing_type, **{mask.name: FieldMask(paths=[f"{path}.part"])})


@pytest.mark.parametrize("text", TEXTS, ids=full_name)
def test_a_text_that_is_stored_or_looked_for_is_not_made_of_nul(text: FieldDescriptor) -> None:
    """PostgreSQL takes it in no text, and the caller would be told of an error of ours."""
    limits = rules(text).repeated.items.string if text.is_repeated else rules(text).string
    nuls = "\0" * max(limits.min_len, 1)
    assert text.name in refused_fields(text.containing_type, **{text.name: [nuls] if text.is_repeated else nuls})
