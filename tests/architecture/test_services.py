"""Every service has the same shape, so that who knows one finds the way in all."""

from pathlib import Path

import pytest

from chassis.contract import manifest
from tests.architecture.checkout import relative
from tools.paths import ROOT

SERVICES = sorted(path.parent for path in ROOT.glob("services/*/__init__.py"))

every_service = pytest.mark.parametrize("service", SERVICES, ids=relative)


@every_service
def test_a_service_has_what_every_service_has(service: Path) -> None:
    """A purpose, a wiring, a manifest, rules, use cases, and a way in."""
    present = {path.name.removesuffix(".py") for path in service.iterdir()}
    assert present >= {"__init__", "__main__", "service.yaml", "domain", "usecases", "servicer"}


@every_service
def test_a_service_is_named_as_its_folder(service: Path) -> None:
    """The name is the identity in the mesh, the broker and the database."""
    assert declared(service).name == service.name


@every_service
def test_a_service_with_a_database_has_named_queries_and_migrations(service: Path) -> None:
    """And one without has neither."""
    has_sql = (service / "sql/queries.sql").exists() and any(service.glob("migrations/*.sql"))
    assert has_sql == declared(service).database


@every_service
def test_migrations_are_numbered_apart_from_those_of_the_chassis(service: Path) -> None:
    """Both folders are applied together, in the order of the numbers; those of a service start at 10010."""
    numbers = [int(path.name.partition("_")[0]) for path in sorted(service.glob("migrations/*.sql"))]
    assert [number for number in numbers if number < 10010] == []
    assert len(set(numbers)) == len(numbers)


def declared(service: Path) -> manifest.Manifest:
    """The manifest in a service's folder."""
    return manifest.of_package(f"services.{service.name}")
