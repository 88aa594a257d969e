"""What may differ from one stack to another."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tools.stack.addresses import PortPlan, default_ports


@dataclass(frozen=True)
class Options:
    """The defaults are those of the stack a person starts."""

    ports: PortPlan = default_ports
    replicas: int = 1
    """How many processes of each service."""
    replicas_of: Mapping[str, int] = field(default_factory=dict)
    """Another number for one service, by its name."""
    services: Collection[str] = ()
    """Only these; empty means all."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for every service."""
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Variables for one service, by its name."""
    database_url: str = ""
    """A superuser's URL of a PostgreSQL server to use instead of the embedded one."""
    nats_url: str = ""
    """A NATS server to use, as it is, instead of the embedded one."""
    durable: bool = True
    """Whether a power cut loses nothing that was committed; tests need not wait for that."""
