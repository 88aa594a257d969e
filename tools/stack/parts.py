"""The parts of a stack, put together from its options: nothing runs yet."""

from dataclasses import dataclass

from chassis.contract import manifest
from chassis.contract.manifest import Manifest
from chassis.messaging.broker import permissions
from tools.paths import ROOT
from tools.stack import addresses, secrets, service
from tools.stack.broker import Broker, BrokerUser
from tools.stack.databases import DatabaseServer
from tools.stack.edge import Edge
from tools.stack.errors import StackError
from tools.stack.mail import MailSink
from tools.stack.options import Options
from tools.stack.postgres import Postgres
from tools.stack.server import Server
from tools.stack.state import StateDir
from tools.stack.topology import Topology


@dataclass(frozen=True)
class Parts:
    """What a stack is made of."""

    topology: Topology
    databases: DatabaseServer
    broker_admin_url: str
    edge: Edge
    servers: dict[str, Server]
    """Every process there is to run, by name, in the order in which a person wants to read them."""


def assemble(directory: StateDir, options: Options) -> Parts:
    """Make the parts and tell each where the others are."""
    topology = Topology(_manifests(options), options.replicas, options.ports, options.replicas_of)
    databases = _databases(directory, options)
    broker = _broker(directory, options, topology)
    mail = MailSink(directory.mail, options.ports(addresses.SMTP), directory.log("mail"))
    shared = {
        "TRADEWIND_NATS_URL": broker.url if isinstance(broker, Broker) else broker,
        "TRADEWIND_SMTP_ADDRESS": mail.program.address,
        "TRADEWIND_JWKS_URL": f"http://{topology.of('identity')[0].operations_address}/.well-known/jwks.json",
        "TRADEWIND_PROVIDER_DIRECTORY": str(directory.provider),
        **options.environment,
    }
    edge = Edge(directory, topology, options.ports(addresses.EDGE), options.ports(addresses.EDGE_ADMIN))
    servers = [
        *([databases] if isinstance(databases, Postgres) else []),
        *([broker] if isinstance(broker, Broker) else []),
        mail,
        *service.processes(topology, directory, shared, options.overrides),
        edge,
    ]
    return Parts(
        topology=topology,
        databases=databases,
        broker_admin_url=broker.admin_url if isinstance(broker, Broker) else broker,
        edge=edge,
        servers={server.program.name: server for server in servers},
    )


def _manifests(options: Options) -> list[Manifest]:
    found = manifest.find(ROOT)
    unknown = set(options.services) - {each.name for each in found}
    if unknown:
        raise StackError(f"no such service: {', '.join(sorted(unknown))}")
    return [each for each in found if not options.services or each.name in options.services]


def _databases(directory: StateDir, options: Options) -> DatabaseServer:
    if options.database_url:
        key = secrets.kept(directory.secrets("stack") / "database_key")
        return DatabaseServer(options.database_url, key.encode())
    port = options.ports(addresses.DATABASE)
    return Postgres(directory.database, port, log=directory.log("database"), durable=options.durable)


def _broker(directory: StateDir, options: Options, topology: Topology) -> Broker | str:
    """The embedded broker, or the URL of the one to use instead."""
    if options.nats_url:
        return options.nats_url
    users = {
        each.name: BrokerUser(secrets.kept(directory.secrets(each.name) / "nats_password"), permissions(each))
        for each in topology.manifests
    }
    port, monitor_port = options.ports(addresses.BROKER), options.ports(addresses.BROKER_MONITOR)
    return Broker(directory.broker, port, monitor_port, users, log=directory.log("broker"))
