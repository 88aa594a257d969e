"""The order in which a stack comes up: everything at once, except what has to wait for something."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import ParamSpec

import nats.errors

from chassis.contract.manifest import Manifest
from chassis.messaging.broker import provision as provision_broker
from tools.paths import migration_folders
from tools.stack import secrets, service
from tools.stack.addresses import is_free, who_listens
from tools.stack.databases import migrate
from tools.stack.errors import StackError
from tools.stack.parts import Parts
from tools.stack.state import StateDir

P = ParamSpec("P")


def bring_up(parts: Parts, directory: StateDir, start: Callable[[str], None], give_up: Callable[[], None]) -> None:
    """Start every server by `start`, which returns when it is healthy. On the first failure `give_up`, then raise it."""
    refuse_taken_ports(parts)
    with ThreadPoolExecutor(max_workers=2 * len(parts.servers)) as pool:
        try:
            for done in as_completed(_begin(pool, parts, directory, start)):
                done.result()
        except BaseException:
            give_up()  # The others stop waiting, and the pool can end.
            raise


def refuse_taken_ports(parts: Parts) -> None:
    """Say which port is in use, by whom, and what to do, before anything is started."""
    for name, server in parts.servers.items():
        for port in server.ports:
            if not is_free(port):
                raise StackError(
                    f"{name} needs port {port}, which {who_listens(port)} uses already; "
                    "end it, or use other ports: ./taskw up --free-ports"
                )


def _begin(
    pool: ThreadPoolExecutor, parts: Parts, directory: StateDir, start: Callable[[str], None]
) -> list[Future[None]]:
    """Have everything started by the pool, each after what it has to wait for."""
    broker = pool.submit(start, "broker") if "broker" in parts.servers else pool.submit(provision, parts)
    database = [pool.submit(start, "database")] if "database" in parts.servers else []
    prepared = {
        each.name: pool.submit(_after, database, _prepare, each, parts, directory) for each in parts.topology.manifests
    }
    services = [
        pool.submit(_after, [broker, prepared[instance.manifest.name]], start, instance.name)
        for instance in parts.topology.instances
    ]
    others = [pool.submit(start, name) for name in ("mail", "edge")]
    return [broker, *database, *prepared.values(), *services, *others]


def provision(parts: Parts) -> None:
    """Make the streams and consumers the manifests name."""
    making = provision_broker(parts.broker_admin_url, parts.topology.manifests)
    try:
        with ThreadPoolExecutor(max_workers=1) as thread:  # Its own, for in this one a loop may run already.
            thread.submit(asyncio.run, making).result()
    except (OSError, nats.errors.Error) as error:
        raise StackError(f"The broker cannot be used: {error}") from None


def _after(needed: Sequence[Future[None]], step: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    for each in needed:
        each.result()
    step(*args, **kwargs)


def _prepare(manifest: Manifest, parts: Parts, directory: StateDir) -> None:
    """Give a service its secrets and its database."""
    service.make_secrets(manifest, directory)
    if not manifest.database:
        return
    url = parts.databases.create(manifest.name)
    secrets.write(directory.secrets(manifest.name) / "database_url", url)
    migrate(url, migration_folders(manifest.package))
