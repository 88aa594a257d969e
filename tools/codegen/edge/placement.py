"""Where the edge stands: what it listens on, where the services are, which files it reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Placement:
    """What differs between a laptop, a test and a cluster. Addresses are HOST:PORT."""

    listen: str
    admin: str
    upstreams: Mapping[str, tuple[str, ...]]
    """The gRPC addresses of each service, by its name."""
    identity_operations: tuple[str, ...]
    """Where identity serves its keys over HTTP."""
    descriptors: Path
    """What `tools.codegen.edge.descriptors` wrote."""
    openapi: Path
    """What `tools.codegen.edge.openapi` wrote."""
    token_issuer: str
    token_audience: str


def split(address: str) -> tuple[str, int]:
    """HOST:PORT as its two parts."""
    host, _, port = address.rpartition(":")
    return host, int(port)
