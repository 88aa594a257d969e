"""Settings: secrets from files, the rest from `TRADEWIND_*` variables. A bad one stops the start with one clear line."""

import math
import os
import re
import stat
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from chassis.core.sealing import Keyring
from chassis.core.secret import Secret

PREFIX = "TRADEWIND_"
_HIGHEST_PORT = 65_535
_HIGHEST_COUNT = 2**31 - 1  # of what gRPC takes


class SettingsError(Exception):
    """A setting is missing or wrong."""


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Dataclass)


def load(cls: type[T], environment: Mapping[str, str] = os.environ) -> T:
    """Fills a frozen dataclass: `drain_seconds: float = 5` from TRADEWIND_DRAIN_SECONDS, a `Secret` from its file.

    Secret files lie in TRADEWIND_SECRETS_DIR under the field's name, readable by their owner alone.
    """
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for each in fields(cls):
        text = _text(each.name, hints[each.name], environment)
        if text is not None:
            values[each.name] = _convert(each.name, text, hints[each.name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise SettingsError(_missing(each.name, hints[each.name]))
    return cls(**values)


def _text(name: str, hint: Any, environment: Mapping[str, str]) -> str | None:
    if _bare(hint) is not Secret:
        return environment.get(PREFIX + name.upper())
    directory = environment.get(f"{PREFIX}SECRETS_DIR")
    is_mounted = environment.get(f"{PREFIX}ENVIRONMENT") == "production"
    return _read_secret(Path(directory) / name, is_mounted=is_mounted) if directory else None


def _read_secret(path: Path, *, is_mounted: bool) -> str | None:
    try:
        if not path.exists():
            return None
        if not path.is_file():
            raise SettingsError(f"secret file {path} is not a file")
        # A mounted Kubernetes secret is a link to a file; its mode is that of the file.
        if not is_mounted and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise SettingsError(f"secret file {path} is readable by others: chmod 600 {path}")
        return path.read_text("utf-8").rstrip("\n")
    except OSError as error:
        raise SettingsError(f"secret file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:  # which shows a part of the secret
        raise SettingsError(f"secret file {path} is not UTF-8 text") from None


def _convert(name: str, text: str, hint: Any) -> Any:
    kind = _bare(hint)
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise SettingsError(f"{PREFIX}{name.upper()}: {text!r} is none of {', '.join(get_args(kind))}")
    try:
        if get_origin(kind) is Literal:
            return text
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if get_origin(kind) is tuple:
            return tuple(part for part in text.split(",") if part)
        return _finite(text) if kind is float else kind(text)
    except (KeyError, ValueError):
        shown = "its value" if kind is Secret else repr(text)
        raise SettingsError(
            f"{PREFIX}{name.upper()}: {shown} is not a valid {getattr(kind, '__name__', kind)}"
        ) from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _bare(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None))
    return hint


def required(name: str, secret: Secret | None) -> Secret:
    """The secret, for whom it is not optional. Raises SettingsError."""
    if not secret:
        raise SettingsError(_missing(name, Secret))
    return secret


def keyring(name: str, secret: Secret | None) -> Keyring:
    """The keys of a secret, for whom it is not optional. Raises SettingsError."""
    try:
        return Keyring.parse(required(name, secret).reveal())
    except ValueError as error:
        raise SettingsError(f"secret {name} {error}") from None


def host_and_port(name: str, address: str) -> tuple[str, int]:
    """The two parts of an address, HOST:PORT or [IPV6]:PORT. Raises SettingsError in the name of the setting."""
    parts = re.fullmatch(r"([\w.:%\[\]-]+):(\d{1,5})", address, re.ASCII)
    if not parts or int(parts[2]) > _HIGHEST_PORT:
        raise SettingsError(f"{PREFIX}{name.upper()}: {address!r} is not HOST:PORT with a port up to {_HIGHEST_PORT}")
    return parts[1].strip("[]"), int(parts[2])


def _check_count(name: str, number: int) -> None:
    if not 1 <= number <= _HIGHEST_COUNT:
        raise SettingsError(f"{PREFIX}{name.upper()}: {number} is not between 1 and {_HIGHEST_COUNT}")


def _missing(name: str, hint: Any) -> str:
    if _bare(hint) is Secret:
        return f"secret {name} is missing: put it into $TRADEWIND_SECRETS_DIR/{name} (mode 0600)"
    return f"{PREFIX}{name.upper()} is not set"


@dataclass(frozen=True)
class RuntimeSettings:
    """What every service process is told."""

    environment: Literal["development", "production"] = "development"
    """Reflection and asserted peers are for development alone."""
    grpc_address: str = "127.0.0.1:7000"
    """HOST:PORT, or unix:PATH."""
    operations_address: str = "127.0.0.1:9000"
    database_url: Secret | None = None
    database_replica_url: Secret | None = None
    """A read replica, for queries whose use case says that staleness is fine."""
    database_pool_size: int = 10
    database_pooler: Literal["none", "session", "transaction"] = "none"
    """Whether a pooler such as PgBouncer stands before the database, and in which mode: chassis.database.pool."""
    nats_url: str = ""
    """Empty: this process neither publishes nor hears facts."""
    nats_password: Secret | None = None
    reply_key: Secret | None = None
    """Keys (chassis.core.sealing) that seal stored replies which hold secrets, and tell a repeat from another request."""
    page_key: Secret | None = None
    """Keys (chassis.core.sealing) that sign page tokens."""
    jwks_url: str = ""
    """Where the issuer publishes the keys that its tokens are signed with."""
    token_issuer: str = "https://identity.tradewind.dev"  # noqa: S105 — a name, no secret
    token_audience: str = "tradewind"  # noqa: S105 — a name, no secret
    peer_identity: Literal["mtls", "xfcc", "asserted"] = "asserted"
    """Where the calling service is known from: chassis.rpc.peer_identity."""
    tls_dir: str = ""
    """Holds tls.crt, tls.key and ca.crt when peer_identity is mtls."""
    spiffe_prefix: str = "spiffe://cluster.local/ns/tradewind/sa/"
    retries: Literal["chassis", "mesh"] = "chassis"
    """Who retries: two layers that both do multiply."""
    max_message_bytes: int = 4 * 1024 * 1024
    max_metadata_bytes: int = 16 * 1024
    max_concurrent_calls: int = 256
    max_concurrent_streams: int = 1024
    drain_seconds: float = 1.0
    """How long to keep serving after NOT_SERVING was announced, so that routes are updated first."""
    grace_seconds: float = 20.0
    """How long running calls may take after that."""
    trace_sample_ratio: float = 0.01
    otlp_endpoint: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    version: str = "dev"
    """Of the code: in every log line."""

    def __post_init__(self) -> None:
        """Refuse what nothing could be started with."""
        # gRPC takes what is no port for another one, in silence.
        if not self.grpc_address.startswith("unix:"):
            host_and_port("grpc_address", self.grpc_address)
        host_and_port("operations_address", self.operations_address)
        for name in ("reply_key", "page_key"):
            if getattr(self, name):
                keyring(name, getattr(self, name))
        if not 0 <= self.trace_sample_ratio <= 1:
            raise SettingsError(f"TRADEWIND_TRACE_SAMPLE_RATIO: {self.trace_sample_ratio} is not between 0 and 1")
        for name in (each.name for each in fields(self) if each.type is int):  # each is a bound of something
            _check_count(name, getattr(self, name))
        for name in ("drain_seconds", "grace_seconds"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{PREFIX}{name.upper()}: {getattr(self, name)} is below zero")


def peer_target(peer: str, environment: Mapping[str, str] = os.environ) -> str:
    """The gRPC target of a peer: TRADEWIND_ADDRESS_OF_<NAME>, else its name in the cluster's DNS."""
    addresses = environment.get(f"{PREFIX}ADDRESS_OF_{peer.upper()}", "")
    if not addresses:
        return f"dns:///{peer}:7000"
    if addresses.startswith(("unix:", "dns:")):
        return addresses
    for address in addresses.split(","):
        _check_ipv4(f"address_of_{peer}", address)
    return f"ipv4:{addresses}"


def _check_ipv4(name: str, address: str) -> None:
    try:
        IPv4Address(host_and_port(name, address)[0])
    except (SettingsError, ValueError):
        raise SettingsError(
            f"{PREFIX}{name.upper()}: {address!r} is not IPv4:PORT; a name is written dns:NAME:PORT"
        ) from None
