"""The database of a service of the local stack, for a program beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.database import Database
from tools.stack.commands import default_directory
from tools.stack.errors import StackError


@asynccontextmanager
async def database_of(service: str) -> AsyncIterator[Database]:
    """The service's database, for the block. Raises StackError when the stack knows no such service."""
    secret = default_directory().secrets(service) / "database_url"
    if not secret.exists():
        raise StackError(f"no service called {service!r} has a database here; ./taskw status shows what there is")
    database = Database(secret.read_text().strip(), name="tools.ops", max_connections=1)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
