"""A process of one of our services: its environment, its secrets, its health."""

import os
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import get_args, get_type_hints

from chassis.contract.manifest import Manifest
from chassis.core.secret import Secret
from chassis.core.settings import RuntimeSettings
from tools.stack import secrets
from tools.stack.health import is_serving
from tools.stack.process import Program
from tools.stack.server import Server
from tools.stack.state import StateDir
from tools.stack.topology import Instance, Topology

# The stack's own settings: a service that inherited them would talk past its own role and account.
NOT_INHERITED = ("TRADEWIND_DATABASE_URL", "TRADEWIND_NATS_URL", "TRADEWIND_STATE_DIR")

# Kept as secrets for the sake of other places; here they are known to everybody who reads this.
NOT_RANDOM = {"staff_email": "staff@tradewind.example"}


class ServiceProcess(Server):
    """`python -m services.<name>`, told by its environment where everything is."""

    def __init__(self, instance: Instance, directory: StateDir, environment: Mapping[str, str]) -> None:
        self.instance = instance
        self._directory = directory
        self._environment = environment

    @property
    def program(self) -> Program:
        """What starts the service; SIGTERM lets it finish its calls."""
        return Program(
            name=self.instance.name,
            command=[sys.executable, "-m", self.instance.manifest.package],
            log=self._directory.log(self.instance.name),
            address=self.instance.address,
            environment=self._environment,
        )

    @property
    def ports(self) -> list[int]:
        """For calls, and for metrics."""
        return [self.instance.port, self.instance.operations_port]

    def is_ready(self, pid: int | None) -> bool:
        """Whether it says so by the gRPC health protocol."""
        return is_serving(self.instance.port)


def processes(
    topology: Topology, directory: StateDir, shared: Mapping[str, str], overrides: Mapping[str, Mapping[str, str]]
) -> list[ServiceProcess]:
    """Every process of every service. `shared` variables go to all of them, `overrides` to a service by its name."""
    return [
        ServiceProcess(
            instance,
            directory,
            environment(instance, topology, directory, {**shared, **overrides.get(instance.manifest.name, {})}),
        )
        for instance in topology.instances
    ]


def environment(
    instance: Instance, topology: Topology, directory: StateDir, shared: Mapping[str, str]
) -> dict[str, str]:
    """The variables of one process: ours, then where it and its peers are, then what all processes of the stack share."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return {
        **inherited,
        "TRADEWIND_GRPC_ADDRESS": instance.address,
        "TRADEWIND_OPERATIONS_ADDRESS": instance.operations_address,
        "TRADEWIND_SECRETS_DIR": str(directory.secrets(instance.manifest.name)),
        **_peers(instance.manifest, topology),
        **shared,
    }


def make_secrets(manifest: Manifest, directory: StateDir) -> None:
    """Make every secret a service's settings ask for that nobody else provides."""
    for name in secret_names(manifest.package):
        secrets.kept(directory.secrets(manifest.name) / name, NOT_RANDOM.get(name))


def secret_names(package: str) -> set[str]:
    """The secrets that every service and this one in particular read."""
    settings: list[type] = [RuntimeSettings]
    if find_spec(f"{package}.settings"):
        module = import_module(f"{package}.settings")
        settings += [value for value in vars(module).values() if isinstance(value, type) and is_dataclass(value)]
    return {name for each in settings for name in _secret_fields(each)} - {"database_url", "database_replica_url"}


def _secret_fields(settings: type) -> list[str]:
    hints = get_type_hints(settings)
    return [each.name for each in fields(settings) if Secret in (hints[each.name], *get_args(hints[each.name]))]


def _peers(manifest: Manifest, topology: Topology) -> dict[str, str]:
    """Where the services are that this one calls, and no others."""
    called = {method.split(".")[1] for method in manifest.calls}
    return {
        f"TRADEWIND_ADDRESS_OF_{name.upper()}": ",".join(peer.address for peer in topology.of(name))
        for name in sorted(called & topology.services)
    }
