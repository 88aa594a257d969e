"""Settings: what a process is told, and the one line it stops with when it was told something wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.core.secret import Secret
from chassis.core.settings import RuntimeSettings, SettingsError, host_and_port, load, peer_target
from chassis.rpc import credentials
from chassis.testing.certificates import Authority
from tools.stack.secrets import kept, write


@dataclass(frozen=True)
class Example:
    """Settings of a service."""

    drain_seconds: float
    is_loud: bool = False
    hosts: tuple[str, ...] = ()
    api_key: Secret | None = None


def _secret(directory: Path, name: str, mode: int = 0o600) -> dict[str, str]:
    (directory / name).write_text("hunter2\n")
    (directory / name).chmod(mode)
    return {"TRADEWIND_SECRETS_DIR": str(directory)}


def test_fields_come_from_variables_of_their_names() -> None:
    """With their types; a default stands where nothing is said."""
    environment = {"TRADEWIND_DRAIN_SECONDS": "2.5", "TRADEWIND_IS_LOUD": "true", "TRADEWIND_HOSTS": "a,b"}
    assert load(Example, environment) == Example(2.5, is_loud=True, hosts=("a", "b"))


def test_a_secret_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    """As Kubernetes mounts it. Not in a log, not in a traceback."""
    found = load(Example, {"TRADEWIND_DRAIN_SECONDS": "1", **_secret(tmp_path, "api_key")})
    assert found.api_key == Secret("hunter2")
    assert found.api_key.reveal() == "hunter2"
    assert "hunter2" not in repr(found)


def test_a_secret_is_not_taken_from_a_variable() -> None:
    """Variables show in process lists and crash reports."""
    assert load(Example, {"TRADEWIND_DRAIN_SECONDS": "1", "TRADEWIND_API_KEY": "hunter2"}).api_key is None


def test_a_secret_others_can_read_is_refused(tmp_path: Path) -> None:
    """The message says what to do."""
    with pytest.raises(SettingsError, match="chmod 600"):
        load(Example, {"TRADEWIND_DRAIN_SECONDS": "1", **_secret(tmp_path, "api_key", 0o644)})


def _directory(path: Path) -> None:
    path.mkdir(mode=0o700)


def _no_text(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_bytes(b"hunter\xff")


def _no_reading(path: Path) -> None:
    # Not even root can read there, whom no mode keeps out.
    path.symlink_to("/proc/self/mem")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [(_directory, "is not a file"), (_no_text, "is not UTF-8 text"), (_no_reading, "cannot be read: ")],
    ids=["directory", "no text", "no reading"],
)
def test_a_secret_that_cannot_be_read_is_one_clear_line(
    tmp_path: Path, make: Callable[[Path], None], complaint: str
) -> None:
    """Without a byte of the secret."""
    make(tmp_path / "api_key")
    with pytest.raises(SettingsError) as raised:
        load(Example, {"TRADEWIND_DRAIN_SECONDS": "1", "TRADEWIND_SECRETS_DIR": str(tmp_path)})
    assert str(raised.value).startswith(f"secret file {tmp_path / 'api_key'} {complaint}")
    assert "0xff" not in str(raised.value)


@pytest.mark.parametrize("name", ["grpc_address", "operations_address"])
@pytest.mark.parametrize("address", ["here:abc", "here", ":7000", "here:99999", "here:-1", "hére:7000", ""])
def test_an_address_has_a_host_and_a_port(name: str, address: str) -> None:
    """What is none must not become another one: gRPC would listen on some port nobody named."""
    with pytest.raises(SettingsError, match=f"TRADEWIND_{name.upper()}: '{address}' is not HOST:PORT"):
        load(RuntimeSettings, {f"TRADEWIND_{name.upper()}": address})


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1:9000", "127.0.0.1"), ("[::1]:9000", "::1"), ("orders.shop.svc:9000", "orders.shop.svc")],
)
def test_the_brackets_of_an_ipv6_address_are_no_part_of_it(address: str, host: str) -> None:
    """They only keep its colons from the port's, and no resolver knows them."""
    assert host_and_port("operations_address", address) == (host, 9000)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:65535", "[::1]:7000", "unix:/run/catalog.sock"])
def test_any_address_grpc_can_listen_on_will_do(address: str) -> None:
    """A socket's path among them."""
    assert load(RuntimeSettings, {"TRADEWIND_GRPC_ADDRESS": address}).grpc_address == address


@pytest.mark.parametrize("name", ["reply_key", "page_key"])
@pytest.mark.parametrize("key", ["hunter2", "00" * 31, "00" * 33, "zz" * 32, "é" * 64])
def test_a_key_is_32_bytes_in_hex(tmp_path: Path, name: str, key: str) -> None:
    """A short one could be guessed. The message says how to make one, and keeps what was found to itself."""
    write(tmp_path / name, key)
    with pytest.raises(SettingsError, match=f"secret {name} is not 32 bytes in hex: openssl rand -hex 32") as raised:
        load(RuntimeSettings, {"TRADEWIND_SECRETS_DIR": str(tmp_path)})
    assert key not in str(raised.value)


@pytest.mark.parametrize("name", ["reply_key", "page_key"])
def test_keys_as_the_stack_makes_them_will_do(tmp_path: Path, name: str) -> None:
    """As will those in capitals."""
    made = kept(tmp_path / name)
    assert getattr(load(RuntimeSettings, {"TRADEWIND_SECRETS_DIR": str(tmp_path)}), name) == Secret(made)
    write(tmp_path / name, made.upper())
    assert getattr(load(RuntimeSettings, {"TRADEWIND_SECRETS_DIR": str(tmp_path)}), name) == Secret(made.upper())


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "TRADEWIND_DRAIN_SECONDS is not set"),
        ({"TRADEWIND_DRAIN_SECONDS": "soon"}, "TRADEWIND_DRAIN_SECONDS: 'soon' is not a valid float"),
        ({"TRADEWIND_DRAIN_SECONDS": "1", "TRADEWIND_IS_LOUD": "perhaps"}, "TRADEWIND_IS_LOUD: 'perhaps'"),
    ],
    ids=["missing", "no number", "no claim"],
)
def test_a_bad_setting_is_one_clear_line(variables: dict[str, str], complaint: str) -> None:
    """It names the variable, and shows what was wrong with it."""
    with pytest.raises(SettingsError) as raised:
        load(Example, variables)
    assert str(raised.value).startswith(complaint)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["environment", "peer_identity", "retries"])
def test_a_choice_that_does_not_exist_is_refused(name: str) -> None:
    """A typo must not switch something off in silence."""
    with pytest.raises(SettingsError, match=f"TRADEWIND_{name.upper()}"):
        load(RuntimeSettings, {f"TRADEWIND_{name.upper()}": "prodution"})


def test_a_ratio_is_between_nothing_and_all() -> None:
    """One per cent is 0.01, not 1."""
    with pytest.raises(SettingsError, match="TRADEWIND_TRACE_SAMPLE_RATIO"):
        load(RuntimeSettings, {"TRADEWIND_TRACE_SAMPLE_RATIO": "1.5"})


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400"])
def test_a_number_is_one_that_can_be_reached(text: str) -> None:
    """Nobody can wait for so long: a process that should drain would end at once with a traceback, or never."""
    with pytest.raises(SettingsError, match=f"TRADEWIND_DRAIN_SECONDS: '{text}' is not a valid float"):
        load(Example, {"TRADEWIND_DRAIN_SECONDS": text})


COUNTS = (
    "database_pool_size",
    "max_message_bytes",
    "max_metadata_bytes",
    "max_concurrent_calls",
    "max_concurrent_streams",
)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("number", [-1, 0, 2**31])
def test_a_bound_leaves_room_for_something_and_grpc_can_count_to_it(name: str, number: int) -> None:
    """With none of it nobody would be served by a process that says it serves."""
    with pytest.raises(SettingsError, match=f"TRADEWIND_{name.upper()}: {number} is not between 1 and 2147483647"):
        load(RuntimeSettings, {f"TRADEWIND_{name.upper()}": str(number)})


@pytest.mark.parametrize("name", ["drain_seconds", "grace_seconds"])
def test_no_time_is_less_than_none(name: str) -> None:
    """None at all will do, where nobody has to be waited for."""
    assert getattr(load(RuntimeSettings, {f"TRADEWIND_{name.upper()}": "0"}), name) == 0
    with pytest.raises(SettingsError, match=f"TRADEWIND_{name.upper()}: -0.1 is below zero"):
        load(RuntimeSettings, {f"TRADEWIND_{name.upper()}": "-0.1"})


def test_a_peer_is_found_by_its_variable_or_its_name() -> None:
    """Several addresses are balanced over; without any, the cluster's DNS knows."""
    assert peer_target("catalog", {"TRADEWIND_ADDRESS_OF_CATALOG": "127.0.0.1:1,127.0.0.1:2"}) == (
        "ipv4:127.0.0.1:1,127.0.0.1:2"
    )
    assert peer_target("catalog", {"TRADEWIND_ADDRESS_OF_CATALOG": "unix:/run/c"}) == "unix:/run/c"
    assert peer_target("catalog", {}) == "dns:///catalog:7000"


@pytest.mark.parametrize("addresses", ["localhost:7002", "127.0.0.1", "127.0.0.1:1,", "[::1]:7002", "127.0.0.1:99999"])
def test_an_address_grpc_cannot_call_is_refused(addresses: str) -> None:
    """It would say so with the first call, and in words that are only in the log."""
    with pytest.raises(SettingsError, match=r"TRADEWIND_ADDRESS_OF_CATALOG: '.*' is not IPv4:PORT") as raised:
        peer_target("catalog", {"TRADEWIND_ADDRESS_OF_CATALOG": addresses})
    assert "dns:" in str(raised.value)


@pytest.mark.parametrize("name", ["tls.key", "tls.crt", "ca.crt"])
@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff"])
def test_a_certificate_that_is_none_is_one_clear_line(tmp_path: Path, name: str, content: bytes) -> None:
    """A server would say that its address cannot be bound, and a client with its first call that the peer is away."""
    directory = Authority().issue("catalog", tmp_path / "catalog")
    (directory / name).write_bytes(content)
    _assert_unusable(directory)


def test_a_certificate_and_a_key_of_different_services_are_one_clear_line(tmp_path: Path) -> None:
    """Mounted half anew, for one."""
    authority = Authority()
    catalog, orders = (authority.issue(name, tmp_path / name) for name in ("catalog", "orders"))
    (catalog / "tls.key").write_bytes((orders / "tls.key").read_bytes())
    _assert_unusable(catalog)


def _assert_unusable(directory: Path) -> None:
    own = RuntimeSettings(peer_identity="mtls", tls_dir=str(directory))
    for side in (credentials.server, credentials.client):
        with pytest.raises(SettingsError, match=f"TRADEWIND_TLS_DIR: {directory}: ") as raised:
            side(own)
        assert "\n" not in str(raised.value)
