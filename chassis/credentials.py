"""TLS for both ends of a call, when peers prove who they are with certificates (TRADEWIND_PEER_IDENTITY=mtls)."""

from pathlib import Path

import grpc

from chassis.settings import RuntimeSettings, SettingsError


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
    directory = Path(settings.tls_dir)
    try:
        return tuple((directory / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))  # type: ignore[return-value]  # three names, three files
    except OSError as error:
        raise SettingsError(f"TRADEWIND_TLS_DIR: {error.filename} cannot be read") from None
