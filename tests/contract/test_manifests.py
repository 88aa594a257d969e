"""Each service.yaml says what the code does, in the words of the contract."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from chassis.contract import descriptors, manifest
from chassis.contract.descriptors import Caller
from chassis.contract.manifest import SERVED_BY_ALL, Manifest
from tests.contract.image import EVENTS, METHODS, method_name
from tests.contract.sources import events_named, methods_called, services_wired
from tools.paths import ROOT

MANIFESTS = manifest.find(ROOT)

every_manifest = pytest.mark.parametrize("service", MANIFESTS, ids=lambda service: service.name)


def test_manifests_do_not_share_a_name_or_a_port() -> None:
    """A name is an identity, a port an address: two services with one are one service."""
    assert len({service.name for service in MANIFESTS}) == len(MANIFESTS)
    assert len({service.port for service in MANIFESTS}) == len(MANIFESTS)


@every_manifest
def test_a_manifest_names_what_exists(service: Manifest) -> None:
    """A misspelled name would be a permission for nothing."""
    events = {event.full_name for event in EVENTS}
    assert service.calls <= {method_name(method) for method in METHODS}
    assert service.publishes <= events
    assert service.consumes <= events


def test_every_method_is_served_by_its_owner_alone() -> None:
    """A contract without a servicer is a promise that nobody keeps."""
    wired = {name: service.name for service in MANIFESTS for name in services_wired(service.package)}
    declared = {method.containing_service for method in METHODS if not method_name(method).startswith(SERVED_BY_ALL)}
    assert wired == {service.full_name: owner(service.file.package) for service in declared}


def test_what_every_service_serves_is_wired_by_none() -> None:
    """The chassis adds all of it to whatever is wired, and leaves no method of it out."""
    declared = {
        method.containing_service.full_name for method in METHODS if method_name(method).startswith(SERVED_BY_ALL)
    }
    assert declared == services_wired("chassis.operations")


@every_manifest
def test_a_service_publishes_every_fact_of_its_own_and_no_other(service: Manifest) -> None:
    """A fact has one author, and a declared fact has a publisher."""
    assert service.publishes == {event.full_name for event in EVENTS if owner(event.file.package) == service.name}


@every_manifest
def test_a_manifest_lists_the_calls_the_code_makes(service: Manifest) -> None:
    """An undeclared call is refused at run time; a declared one that nobody makes is a permission too many."""
    assert service.calls == methods_called(service.package)


@every_manifest
def test_a_manifest_lists_the_facts_the_code_publishes(service: Manifest) -> None:
    """The broker refuses any other."""
    assert service.publishes == events_named(service.package, "publisher")


@every_manifest
def test_a_manifest_lists_the_facts_the_code_hears(service: Manifest) -> None:
    """The broker delivers these and no other."""
    assert service.consumes == events_named(service.package, "subscriber")


@pytest.mark.parametrize("method", METHODS, ids=method_name)
def test_a_method_for_services_has_a_caller(method: MethodDescriptor) -> None:
    """A method of which no manifest speaks cannot be called by anybody."""
    if descriptors.method(method_name(method)).caller is Caller.SERVICE:
        assert any(method_name(method) in service.calls for service in MANIFESTS)


def owner(package: str) -> str:
    """The service a proto package belongs to: `orders` for `tradewind.orders.v1`."""
    return package.split(".")[1]
