"""The hand-written settings of the edge, `mesh/edge/settings.yaml`."""

from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Bucket:
    """A token bucket."""

    burst: int
    per_second: int


@dataclass(frozen=True)
class RateLimits:
    """How much is let through."""

    everybody: Bucket
    client: Bucket
    credentials: Bucket
    remembered_clients: int


@dataclass(frozen=True)
class Limits:
    """How large things may be, and how many."""

    request_bytes: int
    header_kibibytes: int
    headers: int
    connections: int
    streams_per_connection: int


@dataclass(frozen=True)
class Cors:
    """Which web pages may call the edge."""

    origins: tuple[str, ...]
    max_age_seconds: int


@dataclass(frozen=True)
class Settings:
    """All of it."""

    rate_limits: RateLimits
    limits: Limits
    cors: Cors


def load(path: Path) -> Settings:
    """Read the settings; an unknown or missing key is a TypeError that names it."""
    content = yaml.safe_load(path.read_text())
    rate_limits = content.pop("rate_limits")
    cors = content.pop("cors")
    return Settings(
        rate_limits=RateLimits(
            everybody=Bucket(**rate_limits.pop("everybody")),
            client=Bucket(**rate_limits.pop("client")),
            credentials=Bucket(**rate_limits.pop("credentials")),
            **rate_limits,
        ),
        limits=Limits(**content.pop("limits")),
        cors=Cors(origins=tuple(cors.pop("origins")), **cors),
        **content,
    )
