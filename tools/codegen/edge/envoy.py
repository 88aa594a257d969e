"""Envoy's notation: extensions with their types, headers, durations."""

from typing import Any


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """The configuration of an extension, `filters.http.router.v3.Router` for example."""
    return {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}


def extension(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    """An extension by its name and its configuration."""
    return {"name": name, "typed_config": typed(kind, **fields)}


def header(key: str, value: str) -> dict[str, Any]:
    """A header that is to be set, whether it is there already or not."""
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def duration(seconds: float) -> str:
    """As Envoy writes it: `2.25s`."""
    return f"{seconds:g}s"
