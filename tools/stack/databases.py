"""Roles and databases on one PostgreSQL server: one of each per service, closed to everybody else."""

import hashlib
import hmac
import os
import secrets
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from tools.stack.errors import StackError

CONNECT_SECONDS = 5


class DatabaseServer:
    """A PostgreSQL server reached with a superuser's URL.

    The passwords of the roles it makes are derived from `key`, so that a role's URL can be told again at any time and
    is written nowhere else.
    """

    def __init__(self, admin_url: str, key: bytes) -> None:
        self.admin_url = admin_url
        self._key = key

    def url(self, role: str, database: str) -> str:
        """The URL by which `role` connects to `database`."""
        server = urlsplit(self.admin_url)
        address = f"{server.hostname}:{server.port or 5432}"
        return server._replace(netloc=f"{quote(role)}:{self._password(role)}@{address}", path=f"/{database}").geturl()

    def create(self, service: str) -> str:
        """Make the role and the database of a service, unless they are there; return the URL."""
        self._admin(
            sql.SQL(_CREATE_ROLE).format(name=sql.Literal(service), role=sql.Identifier(service)),
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(service), sql.Literal(self._password(service))),
        )
        if not self.has_database(service):
            self._create_database(service, owner=service, template="template1")
        return self.url(service, service)

    def clone(self, template: str, database: str | None = None) -> str:
        """Copy the database `template`, which nobody may be connected to; return the URL of the copy."""
        name = database or f"{template}_{secrets.token_hex(4)}"
        self._create_database(name, owner=template, template=template)
        return self.url(template, name)

    def drop(self, database: str) -> None:
        """Remove a database and everybody connected to it."""
        self._admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def has_database(self, name: str) -> bool:
        """Whether the database exists."""
        with self._connected() as connection:
            return bool(connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount)

    def _create_database(self, name: str, *, owner: str, template: str) -> None:
        database = sql.Identifier(name)
        self._admin(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                database, sql.Identifier(owner), sql.Identifier(template)
            ),
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database),
        )

    def _admin(self, *statements: sql.Composed) -> None:
        with self._connected() as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        try:
            with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
                yield connection
        except psycopg.Error as error:
            raise StackError(f"The database server cannot be used: {error}") from None

    def _password(self, role: str) -> str:
        return hmac.new(self._key, role.encode(), hashlib.sha256).hexdigest()


def migrate(url: str, folders: Sequence[Path]) -> None:
    """Bring a database to the newest migration of all `folders`, taken together in the order of their numbers."""
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    directories = [argument for folder in folders for argument in ("--migrations-dir", str(folder))]
    done = subprocess.run(
        [dbmate, *directories, "--no-dump-schema", "migrate"],
        env={**os.environ, "DATABASE_URL": _without_tls(url), "PGOPTIONS": _MIGRATION_TIMEOUTS},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"migrating {urlsplit(url).path[1:]} failed:\n{done.stdout}{done.stderr}".rstrip())


def _without_tls(url: str) -> str:
    """Dbmate's driver insists on TLS where libpq merely prefers it."""
    if "sslmode=" in url:
        return url
    return url + ("&" if "?" in url else "?") + "sslmode=disable"


# A migration that waits for a lock holds up everybody who queues behind it.
_MIGRATION_TIMEOUTS = "-c lock_timeout=5s -c statement_timeout=60s"

_CREATE_ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
    CREATE ROLE {role} LOGIN;
  END IF;
END $$
"""
