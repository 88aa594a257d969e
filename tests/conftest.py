"""The real servers every test may ask for: PostgreSQL and NATS, embedded, on free ports, gone at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chassis.testing import Tokens
from tools.stack.addresses import free_port
from tools.stack.databases import migrate
from tools.stack.postgres import Postgres

ROOT = Path(__file__).parent.parent

NewDatabase = Callable[[str], str]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One PostgreSQL server for the whole run."""
    server = Postgres(tmp_path_factory.mktemp("postgres"), free_port(), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def new_database(postgres: Postgres) -> Iterator[NewDatabase]:
    """`new_database("inventory")` is the URL of a fresh, migrated database of that service.

    A name without a service of its own gets the chassis's tables alone.
    """
    names: list[str] = []

    def clone(service: str) -> str:
        if not postgres.has_database(service):
            _make_template(postgres, service)
        url = postgres.clone(service)
        names.append(url.rsplit("/", 1)[1])
        return url

    yield clone
    for name in names:
        postgres.drop(name)


def _make_template(postgres: Postgres, service: str) -> None:
    folders = [ROOT / "chassis" / "migrations", ROOT / "services" / service / "migrations"]
    migrate(postgres.create(service), [folder for folder in folders if folder.exists()])


@pytest.fixture(scope="session")
def tokens() -> Tokens:
    """Access tokens as identity would issue them, and as it never would; services started with them accept theirs."""
    return Tokens()
