"""Which processes of which services run, and where each of them listens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from chassis.contract.manifest import Manifest
from tools.stack.addresses import HOST, OPERATIONS_OFFSET, REPLICA_OFFSET, PortPlan


@dataclass(frozen=True)
class Instance:
    """One process of a service."""

    manifest: Manifest
    replica: int
    port: int
    operations_port: int

    @property
    def name(self) -> str:
        """`orders` for the first process, `orders-2` for the second."""
        return self.manifest.name if self.replica == 0 else f"{self.manifest.name}-{self.replica + 1}"

    @property
    def address(self) -> str:
        """Where it serves gRPC."""
        return f"{HOST}:{self.port}"

    @property
    def operations_address(self) -> str:
        """Where it serves its metrics."""
        return f"{HOST}:{self.operations_port}"


class Topology:
    """The processes of a stack: `replicas` of each service, or the number `replicas_of` has for it."""

    def __init__(
        self,
        manifests: Sequence[Manifest],
        replicas: int,
        ports: PortPlan,
        replicas_of: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.manifests = tuple(manifests)
        self._instances = {
            manifest.name: tuple(
                _instance(manifest, replica, ports) for replica in range(replicas_of.get(manifest.name, replicas))
            )
            for manifest in manifests
        }

    @property
    def services(self) -> frozenset[str]:
        """The names of the services that run here."""
        return frozenset(self._instances)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every process of every service."""
        return tuple(instance for instances in self._instances.values() for instance in instances)

    def instance(self, name: str) -> Instance:
        """The process of that name."""
        return next(instance for instance in self.instances if instance.name == name)

    def of(self, service: str) -> tuple[Instance, ...]:
        """The processes of one service."""
        return self._instances[service]


def _instance(manifest: Manifest, replica: int, ports: PortPlan) -> Instance:
    port = manifest.port + replica * REPLICA_OFFSET
    return Instance(manifest, replica, ports(port), ports(port + OPERATIONS_OFFSET))
