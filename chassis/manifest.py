"""A service's manifest, `service.yaml`: what it owns, calls, publishes and hears."""

import json
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml


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
    found = [*root.glob("services/*/service.yaml"), *root.glob("tools/*/service.yaml")]
    manifests = [parse(path.read_text("utf-8"), ".".join(path.parent.relative_to(root).parts)) for path in found]
    return tuple(sorted(manifests, key=lambda m: m.port))


def parse(text: str, package: str) -> Manifest:
    """Reads a manifest. Raises ManifestError naming what is missing or unknown."""
    content: dict[str, Any] = yaml.safe_load(text) or {}
    if not isinstance(content, dict):
        raise ManifestError(f"{package}/service.yaml: not a mapping")
    unknown = content.keys() - ({f.name for f in fields(Manifest)} - {"package"})
    missing = {"name", "owner", "summary", "port"} - content.keys()
    if unknown or missing:
        complaint = ", ".join([f"unknown: {k}" for k in sorted(unknown)] + [f"missing: {k}" for k in sorted(missing)])
        raise ManifestError(f"{package}/service.yaml: {complaint}")
    for key in ("calls", "publishes", "consumes"):
        content[key] = frozenset(content.get(key) or ())
    try:
        content["scale"] = Scale(**content.get("scale", {}))
    except TypeError as error:
        raise ManifestError(f"{package}/service.yaml: scale: {error}") from None
    return Manifest(package=package, **content)


@cache
def callers() -> dict[str, frozenset[str]]:
    """Which services may call each method, from all manifests (`gen/callers.json`)."""
    content: dict[str, list[str]] = json.loads(
        (resources.files("tradewind") / ".." / "callers.json").read_text("utf-8")
    )
    return {method: frozenset(names) for method, names in content.items()}
