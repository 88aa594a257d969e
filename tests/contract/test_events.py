"""Every event can be ordered, is published by its owner, and decodes for ever."""

import json
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor

from tests.contract.image import EVENTS, FILES, full_name
from tradewind.policy.v1 import policy_pb2

GOLDEN = Path(__file__).parent / "golden"

every_event = pytest.mark.parametrize("event", EVENTS, ids=full_name)


@every_event
def test_an_event_names_its_aggregate_and_its_place_in_the_order(event: Descriptor) -> None:
    """Consumers order facts by the aggregate's id and version."""
    aggregate_id = event.GetOptions().Extensions[policy_pb2.event].aggregate_id
    assert event.fields_by_name[aggregate_id].type == FieldDescriptor.TYPE_STRING
    assert event.fields_by_name["aggregate_version"].type == FieldDescriptor.TYPE_INT64


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_events_live_in_files_of_events(file: FileDescriptor) -> None:
    """A message is an event exactly when its file is named so."""
    is_event = {message in EVENTS for message in file.message_types_by_name.values()}
    assert is_event <= {file.name.endswith("_events.proto")}


@every_event
def test_an_event_has_a_golden_example(event: Descriptor) -> None:
    """`./taskw golden` adds the missing ones."""
    assert (GOLDEN / f"{event.full_name}.binpb").exists()


@pytest.mark.parametrize("encoded", sorted(GOLDEN.glob("*.binpb")), ids=lambda path: path.stem)
def test_a_golden_event_decodes_to_what_it_meant(encoded: Path) -> None:
    """Facts as they were once published still mean the same, to the last field, and leave nothing unknown."""
    event = descriptor_pool.Default().FindMessageTypeByName(encoded.stem)
    message = message_factory.GetMessageClass(event).FromString(encoded.read_bytes())
    decoded = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert decoded == json.loads(encoded.with_suffix(".json").read_text(encoding="utf-8"))
