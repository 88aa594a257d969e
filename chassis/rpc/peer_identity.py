"""Which service is calling: three sources behind one interface, chosen by TRADEWIND_PEER_IDENTITY."""

import re
from collections.abc import Callable, Iterable

from chassis.core.settings import RuntimeSettings, SettingsError
from chassis.rpc import metadata
from chassis.rpc.call import Call

PeerOf = Callable[[Call], str]
"""The calling service's name; empty when it did not say, or cannot prove it."""


def source(settings: RuntimeSettings) -> PeerOf:
    """The source the settings choose. Raises SettingsError for `asserted` anywhere but on loopback."""
    if settings.peer_identity == "mtls":
        return lambda call: _from_certificate(call, settings.spiffe_prefix)
    if settings.peer_identity == "xfcc":
        return lambda call: _from_header(call, settings.spiffe_prefix)
    if settings.environment == "production" or not _is_loopback(settings.grpc_address):
        message = (
            "TRADEWIND_PEER_IDENTITY=asserted believes whatever a caller says: it is for development on loopback alone. "
            f"Use mtls or xfcc for {settings.grpc_address} in {settings.environment}"
        )
        raise SettingsError(message)
    return lambda call: str(call.metadata.get(metadata.ASSERTED_PEER, ""))


def _is_loopback(address: str) -> bool:
    return address.startswith(("127.", "localhost:", "[::1]:", "unix:"))


def _from_certificate(call: Call, prefix: str) -> str:
    names = call.context.auth_context().get("x509_subject_alternative_name", ())
    return _service_in((name.decode() for name in names), prefix)


def _from_header(call: Call, prefix: str) -> str:
    # The sidecar appends what it has seen of the hop to us, and writes URI after whatever it quotes. So what follows the
    # last comma or quote is in its own words: a caller's quote that is never closed turns no word of them into a value.
    last_words = re.split('[",]', str(call.metadata.get(metadata.FORWARDED_CLIENT_CERT, "")))[-1]
    return _service_in(re.findall(r"(?:^|;)URI=([^;]+)", last_words), prefix)


def _service_in(uris: Iterable[str], prefix: str) -> str:
    for uri in uris:
        if uri.startswith(prefix):
            return uri.removeprefix(prefix)
    return ""
