"""A real PgBouncer in transaction mode, between a test and its PostgreSQL server."""

import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import open_directory
from tools.stack.addresses import free_port
from tools.stack.postgres import Postgres, unprivileged_account
from tools.stack.process import Program
from tools.stack.server import Server

SERVER_CONNECTIONS = 2
"""How many of the server's processes the clients of one database share."""

# PgBouncer 1.18 writes neither the parameter `options` through, nor knows prepared statements (1.21 does).
CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={postgres}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
stats_users = postgres
pool_mode = transaction
default_pool_size = {server_connections}
max_client_conn = 500
"""


class PgBouncer(Server):
    """Debian's `pgbouncer`, before `postgres`, for the roles of some services."""

    def __init__(self, directory: Path, postgres: Postgres, services: Sequence[str]) -> None:
        self._directory = directory
        self._postgres = postgres
        self._services = services
        self._port = free_port()

    @property
    def program(self) -> Program:
        """What starts it in the foreground."""
        return Program(
            name="pooler",
            command=[installed("pgbouncer"), str(self._directory / "pgbouncer.ini")],
            log=self._directory / "pgbouncer.log",
            address=f"127.0.0.1:{self._port}",
            account=unprivileged_account(),
        )

    def prepare(self) -> None:
        """Write its configuration and its list of users."""
        users = self._directory / "users.txt"
        urls = [self._postgres.admin_url, *(self._postgres.url(name, name) for name in self._services)]
        users.write_text("".join(f'"{url.username}" "{url.password}"\n' for url in map(urlsplit, urls)))
        (self._directory / "pgbouncer.ini").write_text(
            CONFIGURATION.format(
                postgres=self._postgres.port, port=self._port, users=users, server_connections=SERVER_CONNECTIONS
            )
        )
        if account := unprivileged_account():
            for path in (self._directory, *self._directory.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)

    def is_ready(self, pid: int | None) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return pid is not None

    def through(self, url: str) -> str:
        """The URL that leads to the same database by way of this pooler."""
        return url.replace(f":{self._postgres.port}/", f":{self._port}/")

    def connections(self, database: str) -> tuple[int, int]:
        """How many clients, and how many of the server's processes, are connected for a database now."""
        return self._count("SHOW CLIENTS", database), self._count("SHOW SERVERS", database)

    def _count(self, command: LiteralString, database: str) -> int:
        console = self.through(self._postgres.admin_url).rpartition("/")[0] + "/pgbouncer"
        # The console understands nothing but simple queries.
        with psycopg.connect(console, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            cursor = connection.execute(command)
            assert cursor.description
            column = [each.name for each in cursor.description].index("database")
            return sum(row[column] == database for row in cursor.fetchall())


@contextmanager
def running_pooler(postgres: Postgres, services: Sequence[str]) -> Iterator[PgBouncer]:
    """A pooler for the block."""
    with open_directory() as directory:
        pooler = PgBouncer(directory, postgres, services)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


def installed(name: str) -> str:
    """The path of a program. Without it the test fails in CI, and is skipped elsewhere."""
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"{name} is not installed: apt-get install {name}")
    return program
