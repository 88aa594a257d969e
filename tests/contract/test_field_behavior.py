"""What a request must bring is said twice, for readers of the contract and for its validation, and both say the same."""

import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor

from tests.contract.image import INCOMING, full_name, refused_fields

OURS = tuple(field for field in INCOMING if field.full_name.startswith("tradewind."))


@pytest.mark.parametrize("field", OURS, ids=full_name)
def test_a_field_that_comes_in_says_whether_it_must_be_there(field: FieldDescriptor) -> None:
    """REQUIRED exactly when validation refuses the message without it, OPTIONAL otherwise."""
    is_demanded = field.name in refused_fields(field.containing_type)
    expected = field_behavior_pb2.REQUIRED if is_demanded else field_behavior_pb2.OPTIONAL
    assert list(field.GetOptions().Extensions[field_behavior_pb2.field_behavior]) == [expected]
