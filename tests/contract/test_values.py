"""What the rules of a field let in, a service can do something with."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from tests.contract.image import INCOMING, full_name, refused_fields, rules

MASKS = [field for field in INCOMING if field.message_type == FieldMask.DESCRIPTOR]


@pytest.mark.parametrize("mask", MASKS, ids=full_name)
def test_a_mask_names_whole_fields(mask: FieldDescriptor) -> None:
    """The rule `in` alone lets the parts of a field through, too, and no service looks for those."""
    for path in getattr(rules(mask).field_mask, "in"):
        assert mask.name not in refused_fields(mask.containing_type, **{mask.name: FieldMask(paths=[path])})
        assert mask.name in refused_fields(mask.containing_type, **{mask.name: FieldMask(paths=[f"{path}.part"])})
