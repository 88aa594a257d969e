"""Every RPC declares what the platform derives its behaviour from."""

import re
from collections import Counter

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from chassis.contract.descriptors import resolved_policy
from chassis.contract.manifest import SERVED_BY_ALL
from tests.contract.callers import CALLERS
from tests.contract.image import METHODS, SERVICES, method_name, refused_fields
from tradewind.policy.v1 import policy_pb2

OUTSIDERS = {policy_pb2.CALLER_ANYONE, policy_pb2.CALLER_CUSTOMER, policy_pb2.CALLER_STAFF}

every_method = pytest.mark.parametrize("method", METHODS, ids=method_name)


def policy(method: MethodDescriptor) -> policy_pb2.MethodPolicy:
    """What a method declares, or its service for it."""
    return resolved_policy(method.containing_service.GetOptions(), method.GetOptions())


def bindings(method: MethodDescriptor) -> list[http_pb2.HttpRule]:
    """Where HTTP finds a method: nowhere, at one address, or at several."""
    if not method.GetOptions().HasExtension(annotations_pb2.http):
        return []
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    return [rule, *rule.additional_bindings]


def address(rule: http_pb2.HttpRule) -> tuple[str, str]:
    """The verb and the path of a binding."""
    verb = rule.WhichOneof("pattern") or ""
    return verb, getattr(rule, verb)


def changes_something(method: MethodDescriptor) -> bool:
    """Whether a method has effects, by its own word."""
    return method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS


@every_method
def test_a_method_says_who_may_call_it_and_for_how_long(method: MethodDescriptor) -> None:
    """Without a caller and a timeout nothing can be derived."""
    assert policy(method).caller != policy_pb2.CALLER_UNSPECIFIED
    assert policy(method).timeout.ToTimedelta().total_seconds() > 0


def test_who_may_call_a_method_is_written_down_twice() -> None:
    """A permission that changes by one word of a proto, or of its service's defaults, changes here by a person's hand."""
    declared = {method_name(method): policy_pb2.Caller.Name(policy(method).caller) for method in METHODS}
    assert declared == {name: f"CALLER_{caller}" for name, caller in CALLERS.items()}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_a_service_opens_no_method_to_strangers_by_default(service: ServiceDescriptor) -> None:
    """A method that forgot to say who may call it would be open to everybody."""
    assert service.GetOptions().Extensions[policy_pb2.service].caller != policy_pb2.CALLER_ANYONE


@every_method
def test_a_method_says_whether_it_may_be_repeated(method: MethodDescriptor) -> None:
    """The level decides about retries, so that leaving it out is a decision nobody made."""
    assert method.GetOptions().idempotency_level in {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT}


@every_method
def test_an_objective_can_be_reached_and_missed(method: MethodDescriptor) -> None:
    """An objective of 100 % forbids every change; a latency needs its percentile, and the reverse."""
    if not policy(method).HasField("objective"):
        return
    objective = policy(method).objective
    assert 90 <= objective.availability_percent < 100
    assert objective.HasField("latency") == (0 < objective.latency_percentile < 100)
    assert objective.latency.ToTimedelta() <= policy(method).timeout.ToTimedelta()


@every_method
def test_the_edge_serves_exactly_what_outsiders_may_call(method: MethodDescriptor) -> None:
    """A method of services has no address on the edge, nor has what every service serves; any other method has one."""
    is_of_one_service = not method_name(method).startswith(SERVED_BY_ALL)
    expected = is_of_one_service and policy(method).caller in OUTSIDERS
    assert method.GetOptions().HasExtension(annotations_pb2.http) == expected


@every_method
def test_what_every_service_serves_is_for_staff(method: MethodDescriptor) -> None:
    """Nobody else operates a service, whichever it is."""
    if method_name(method).startswith(SERVED_BY_ALL):
        assert policy(method).caller == policy_pb2.CALLER_STAFF


@every_method
def test_a_get_changes_nothing(method: MethodDescriptor) -> None:
    """Browsers, caches and crawlers repeat a GET as they please."""
    if any(rule.get for rule in bindings(method)):
        assert not changes_something(method)


@every_method
def test_an_address_names_fields_of_the_request(method: MethodDescriptor) -> None:
    """What stands in the path, and what the body is, are fields there are."""
    for rule in bindings(method):
        named = set(re.findall(r"{(\w+)", address(rule)[1])) | ({rule.body} - {"", "*"})
        assert named <= set(method.input_type.fields_by_name)


def test_no_two_methods_have_one_address() -> None:
    """The edge would send the calls of both to one of them."""
    found = Counter(
        (verb, re.sub(r"{[^}]*}", "*", path)) for method in METHODS for verb, path in map(address, bindings(method))
    )
    assert [each for each, times in found.items() if times > 1] == []


@every_method
def test_a_list_pages_from_the_first_day(method: MethodDescriptor) -> None:
    """A page is asked for by size and token, and tells the next token beside one list."""
    if not method.name.startswith("List"):
        return
    asked, answered = method.input_type.fields_by_name, method.output_type.fields_by_name
    assert asked["page_size"].cpp_type == FieldDescriptor.CPPTYPE_INT32
    assert asked["page_token"].cpp_type == FieldDescriptor.CPPTYPE_STRING
    assert answered["next_page_token"].cpp_type == FieldDescriptor.CPPTYPE_STRING
    assert len([field for field in answered.values() if field.is_repeated]) == 1


@every_method
def test_a_change_names_itself_by_a_request_id(method: MethodDescriptor) -> None:
    """What changes something carries `request_id`, a UUID that cannot be left out; what does not, does not."""
    assert ("request_id" in method.input_type.fields_by_name) == changes_something(method)
    if changes_something(method):
        assert "request_id" in refused_fields(method.input_type, request_id="")
        assert "request_id" in refused_fields(method.input_type, request_id="the second try")
        assert "request_id" not in refused_fields(method.input_type, request_id="0190c8a5-3f6e-7c3a-9a51-1f6d2b4c8e10")
