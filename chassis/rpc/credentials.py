"""TLS for both ends of a call, when peers prove who they are with certificates (TRADEWIND_PEER_IDENTITY=mtls)."""

import ssl
from pathlib import Path

import grpc

from chassis.core.settings import RuntimeSettings, SettingsError


def server(settings: RuntimeSettings) -> grpc.ServerCredentials | None:
    """What the server shows, and demands of its callers; None for cleartext."""
    if settings.peer_identity != "mtls":
        return None
    key, certificate, authority = _files(settings)
    return grpc.ssl_server_credentials([(key, certificate)], root_certificates=authority, require_client_auth=True)


def client(settings: RuntimeSettings) -> grpc.ChannelCredentials | None:
    """What a client shows, and demands of its peers; None for cleartext."""
    if settings.peer_identity != "mtls":
        return None
    key, certificate, authority = _files(settings)
    return grpc.ssl_channel_credentials(authority, key, certificate)


def _files(settings: RuntimeSettings) -> tuple[bytes, bytes, bytes]:
    key, certificate, authority = paths = [Path(settings.tls_dir) / name for name in ("tls.key", "tls.crt", "ca.crt")]
    try:
        contents = tuple(path.read_bytes() for path in paths)
        # gRPC takes anything, and finds out when it listens or calls.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(certificate, key, password="")  # or a key with a password would ask for it
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        reason = f"its files are no key, certificate and authority that belong together ({error.reason})"
        raise SettingsError(f"TRADEWIND_TLS_DIR: {settings.tls_dir}: {reason}") from None
    except OSError as error:
        raise SettingsError(f"TRADEWIND_TLS_DIR: {error.filename} cannot be read") from None
    return contents  # type: ignore[return-value]  # three paths, three files
