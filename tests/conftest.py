"""The real servers every test may ask for: PostgreSQL and NATS, embedded, on free ports, gone at the end."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest

from chassis.contract import manifest
from chassis.contract.manifest import Manifest
from chassis.messaging import broker
from chassis.testing import Tokens
from tools.paths import ROOT, migration_folders
from tools.stack.addresses import free_port
from tools.stack.broker import Broker as BrokerServer
from tools.stack.broker import BrokerUser
from tools.stack.databases import migrate
from tools.stack.postgres import Postgres

NewDatabase = Callable[[str], str]

# A machine under load is no fault of an example. CI looks further, and prints what reproduces a failure elsewhere.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=1000, print_blob=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose hypothesis's seed here, so that the report's header can name it."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = secrets.randbits(32)


def pytest_report_header(config: pytest.Config) -> str:
    """How to run the same examples again."""
    return f"hypothesis examples: --hypothesis-seed={config.option.hypothesis_seed}"


@contextmanager
def open_directory() -> Iterator[Path]:
    """A directory for servers, for the block.

    Not one of pytest's: its next run closes those to the account PostgreSQL has when we are root.
    """
    with TemporaryDirectory(prefix="tradewind-") as directory:
        yield Path(directory)


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for servers."""
    with open_directory() as directory:
        yield directory


@contextmanager
def embedded_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, for the block."""
    with open_directory() as directory:
        server = Postgres(directory, free_port(), durable=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the whole run."""
    with embedded_postgres() as server:
        yield server


@pytest.fixture
def new_database(postgres: Postgres) -> Iterator[NewDatabase]:
    """`new_database("inventory")` is the URL of a fresh, migrated database of that service.

    A name without a service of its own gets the chassis's tables alone.
    """
    names: list[str] = []

    def clone(service: str) -> str:
        url = _clone(postgres, service)
        names.append(url.rsplit("/", 1)[1])
        return url

    yield clone
    for name in names:
        postgres.drop(name)


@pytest.fixture(scope="session")
def shared_database(postgres: Postgres) -> NewDatabase:
    """As `new_database`, for what many tests share."""
    return partial(_clone, postgres)


class Nats:
    """A NATS server where each service of `manifests` has its account, its streams and its consumers."""

    def __init__(self, directory: Path, manifests: Sequence[Manifest]) -> None:
        self.manifests = manifests
        users = {each.name: BrokerUser(self.password(each.name), broker.permissions(each)) for each in manifests}
        self.server = BrokerServer(directory, free_port(), free_port(), users)
        self.url = self.server.url
        self.admin_url = self.server.admin_url

    def password(self, service: str) -> str:
        """What the service logs in with."""
        return f"{service}-password"

    async def start(self) -> None:
        """Run it, with every stream and consumer there."""
        await asyncio.to_thread(self.server.start)
        await broker.provision(self.admin_url, self.manifests)

    async def stop(self) -> None:
        """Stop it; what it has stored stays."""
        await asyncio.to_thread(self.server.stop)

    def erase(self) -> None:
        """Lose the disk. Only while it is stopped."""
        shutil.rmtree(self.server.data_dir / "jetstream")

    def connection(self, service: str) -> broker.Broker:
        """A connection as a service makes it; to be opened and closed."""
        return broker.Broker(self.url, service, self.password(service))


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[Nats]:
    """A NATS server of all services. Each test has its own: streams remember."""
    nats = Nats(tmp_path / "nats", manifest.find(ROOT))
    await nats.start()
    yield nats
    await nats.stop()


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    """An issuer of access tokens."""
    return Tokens()


def _clone(postgres: Postgres, service: str) -> str:
    if not postgres.has_database(service):
        _make_template(postgres, service)
    return postgres.clone(service)


def _make_template(postgres: Postgres, service: str) -> None:
    chassis, own = migration_folders(f"services.{service}")
    migrate(postgres.create(service), [chassis, *([own] if own.exists() else [])])
