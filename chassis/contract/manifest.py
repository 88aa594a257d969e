"""A service's manifest, `service.yaml`: what it owns, calls, publishes and hears."""

import json
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from chassis.core.settings import Dataclass

T = TypeVar("T", bound=Dataclass)

SERVED_BY_ALL = "tradewind.operations."
"""The packages below are the chassis's own: every service serves them, and none owns them (docs/adr/0012-operations.md)."""

_CALLED = {str: "a text", int: "a whole number", bool: "true or false"}


class ManifestError(Exception):
    """A `service.yaml` that does not say what it must."""


@dataclass(frozen=True)
class Scale:
    """How many processes run in a cluster, and when more are started."""

    min: int = 2
    max: int = 10
    target_cpu_percent: int = 70


@dataclass(frozen=True)
class Manifest:
    """What one service declares. Whatever it does not declare is refused at run time."""

    name: str
    owner: str
    summary: str
    port: int
    """The gRPC port of its first process on a developer's machine."""
    package: str = ""
    """The Python package it was read from, for example `services.orders`."""
    database: bool = True
    calls: frozenset[str] = frozenset()
    """Full method names: `tradewind.catalog.v1.CatalogService/BatchGetProducts`."""
    publishes: frozenset[str] = frozenset()
    """Full event names: `tradewind.orders.v1.OrderPlaced`."""
    consumes: frozenset[str] = frozenset()
    scale: Scale = field(default_factory=Scale)


def of_package(package: str) -> Manifest:
    """The manifest that lies in a package, for example `services.orders`."""
    text = (resources.files(package) / "service.yaml").read_text("utf-8")
    return parse(text, package)


def find(root: Path) -> tuple[Manifest, ...]:
    """Every manifest of a source tree, by port: those of the services and of the programs that stand in for outsiders."""
    found = [*root.glob("services/*/service.yaml"), *root.glob("tools/**/service.yaml")]
    manifests = [parse(path.read_text("utf-8"), ".".join(path.parent.relative_to(root).parts)) for path in found]
    return tuple(sorted(manifests, key=lambda m: m.port))


def parse(text: str, package: str) -> Manifest:
    """Reads a manifest. Raises ManifestError naming what is missing, unknown or of another kind."""
    place = f"{package}/service.yaml"
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ManifestError(f"{place}: no YAML: {' '.join(str(error).split())}") from None
    return _read(Manifest, content, place, package=package)


def _read(cls: type[T], content: Any, place: str, **given: str) -> T:
    """A dataclass from a mapping of its fields; those that are `given` are not to be in it."""
    content = content or {}
    if not isinstance(content, dict):
        raise ManifestError(f"{place}: not a mapping")
    kinds = {each.name: each.type for each in fields(cls) if each.name not in given}
    optional = {each.name for each in fields(cls) if {each.default, each.default_factory} != {MISSING}}
    unknown, missing = content.keys() - kinds.keys(), kinds.keys() - optional - content.keys()
    if unknown or missing:
        complaints = [f"unknown: {k}" for k in sorted(map(str, unknown))] + [f"missing: {k}" for k in sorted(missing)]
        raise ManifestError(f"{place}: {', '.join(complaints)}")
    return cls(**{name: _value(kinds[name], value, f"{place}: {name}") for name, value in content.items()}, **given)


def _value(kind: Any, value: Any, place: str) -> Any:
    if kind is Scale:
        return _read(Scale, value, place)
    if kind == frozenset[str]:
        value = [] if value is None else value
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ManifestError(f"{place}: {value!r} is not a list of texts")
        return frozenset(value)
    if type(value) is not kind:
        raise ManifestError(f"{place}: {value!r} is not {_CALLED[kind]}")
    return value


@cache
def callers() -> dict[str, frozenset[str]]:
    """Which services may call each method, from all manifests (`gen/tradewind/callers.json`)."""
    content: dict[str, list[str]] = json.loads((resources.files("tradewind") / "callers.json").read_text("utf-8"))
    return {method: frozenset(names) for method, names in content.items()}
