"""Wires identity together and serves it."""

from contextlib import suppress

from chassis.core.settings import keyring
from chassis.database import DatabaseUnavailable
from chassis.process.server import Runtime, Service, serve
from services.identity.passwords import Passwords
from services.identity.servicer import IdentityServicer
from services.identity.settings import Settings
from services.identity.signing import Seal, Signer
from services.identity.usecases import UseCases


async def service(runtime: Runtime) -> Service:
    """One servicer, the published keys, and what is done without being asked."""
    settings = runtime.load_settings(Settings)
    keys = keyring("signing_key_secret", settings.signing_key_secret)
    signer = Signer(Seal(keys), runtime.settings.token_issuer, runtime.settings.token_audience)
    passwords = Passwords(settings.hashing_threads, settings.hashing_queue)
    usecases = UseCases(runtime.database, runtime.clock, passwords, signer, settings)
    with suppress(DatabaseUnavailable):  # then the background gets ready as soon as there is a database
        await usecases.get_ready()
    return Service(
        servicers={"tradewind.identity.v1.IdentityService": IdentityServicer(usecases)},
        background=[usecases.keep_ready, usecases.keep_sweeping],
        http_routes={"/.well-known/jwks.json": signer.jwks},
    )


if __name__ == "__main__":
    serve("services.identity", service)
