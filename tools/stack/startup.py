"""The order in which a stack comes up: everything at once, except what has to wait for something."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from chassis.broker import provision as provision_broker
from chassis.manifest import Manifest
from tools.stack import secrets, service
from tools.stack.addresses import is_free, who_listens
from tools.stack.databases import migrate
from tools.stack.errors import StackError
from tools.stack.parts import Parts
from tools.stack.paths import migration_folders
from tools.stack.state import StateDir


def bring_up(parts: Parts, directory: StateDir, start: Callable[[str], None], give_up: Callable[[], None]) -> None:
    """Start every server by `start`, which returns when it is healthy. On the first failure `give_up`, then raise it."""
    refuse_taken_ports(parts)
    with ThreadPoolExecutor(max_workers=2 * len(parts.servers)) as pool:
        embedded = {name: pool.submit(start, name) for name in ("database", "broker") if name in parts.servers}
        broker = pool.submit(_provision_after, embedded.get("broker"), parts)
        databases = {
            each.name: pool.submit(_prepare, each, parts, directory, embedded.get("database"))
            for each in parts.topology.manifests
        }
        services = [
            pool.submit(_start_after, [broker, databases[instance.manifest.name]], start, instance.name)
            for instance in parts.topology.instances
        ]
        others = [pool.submit(start, name) for name in ("mail", "edge")]
        try:
            for done in as_completed([*embedded.values(), broker, *databases.values(), *services, *others]):
                done.result()
        except BaseException:
            give_up()
            raise


def refuse_taken_ports(parts: Parts) -> None:
    """Say which port is in use, and by whom, before anything is started."""
    for name, server in parts.servers.items():
        port = int(server.program.address.rpartition(":")[2])
        if not is_free(port):
            raise StackError(f"{name} needs port {port}, which {who_listens(port)} uses already")


def provision(parts: Parts) -> None:
    """Make the streams and consumers the manifests name."""
    asyncio.run(provision_broker(parts.broker_admin_url, parts.topology.manifests))


def _provision_after(broker: Future[None] | None, parts: Parts) -> None:
    if broker is not None:
        broker.result()
    provision(parts)


def _prepare(manifest: Manifest, parts: Parts, directory: StateDir, database: Future[None] | None) -> None:
    """Give a service its secrets and its database."""
    service.make_secrets(manifest, directory)
    if not manifest.database:
        return
    if database is not None:
        database.result()
    url = parts.databases.create(manifest.name)
    secrets.write(directory.secrets(manifest.name) / "database_url", url)
    migrate(url, migration_folders(manifest.package))


def _start_after(needed: list[Future[None]], start: Callable[[str], None], name: str) -> None:
    for each in needed:
        each.result()
    start(name)
