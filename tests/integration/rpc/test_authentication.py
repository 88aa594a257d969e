"""Who may call what: tokens, the services' identities, and the keys they are checked with."""

import asyncio
import base64
import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from chassis.core import errors
from chassis.core.settings import RuntimeSettings, SettingsError
from chassis.rpc import tokens as tokens_module
from chassis.rpc.tokens import ALGORITHM, Fetch, PublishedKeys, TokenVerifier, http_fetch
from chassis.testing import Tokens, refused
from chassis.testing.certificates import Authority
from tests.integration.rpc.stub import InventoryServiceStub, availability, pb, reservation, serving

USER = "01a1fb7d-0c49-75ae-85aa-b52d6a6bd7dc"
LOOK_UP = pb.GetReservationRequest(order_id=USER)


@pytest.fixture
def database_url(new_database: Any) -> str:
    """A database for the stub."""
    return new_database("inventory")


def _unsigned(tokens: Tokens) -> str:
    """A token that says it needs no signature."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt","kid":"test"}').rstrip(b"=")
    return f"{header.decode()}.{tokens.staff().split('.')[1]}."


def _with_a_key_id_that_is_no_text(tokens: Tokens) -> str:
    """A token whose header holds something else there."""
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","typ":"at+jwt","kid":{}}').rstrip(b"=")
    return ".".join([header.decode(), *tokens.staff().split(".")[1:]])


def _critical(tokens: Tokens) -> str:
    """A token whose header says of nothing in particular that it must be understood."""
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","typ":"at+jwt","kid":"test","crit":5}').rstrip(b"=")
    return ".".join([header.decode(), *tokens.staff().split(".")[1:]])


def _signed_with_the_public_key(tokens: Tokens) -> str:
    """The old trick of taking the published key for a shared secret."""
    secret = OctKey.import_key(json.dumps(tokens.key.as_dict(private=False)))
    return jwt.encode({"alg": "HS256", "typ": "at+jwt", "kid": "test"}, {"sub": USER}, secret)


def _bringing_its_own_key(_tokens: Tokens) -> str:
    """A token with the key that verifies it in its header."""
    own = ECKey.generate_key("P-256")
    header = {"alg": ALGORITHM, "typ": "at+jwt", "kid": "mine", "jwk": own.as_dict(private=False)}
    return jwt.encode(header, {"sub": USER}, own)


BAD_TOKENS = {
    "no token at all": (lambda _: "", "TOKEN_MISSING"),
    "expired": (lambda t: t.expired(USER), "TOKEN_EXPIRED"),
    "forged": (lambda t: t.forged(USER), "TOKEN_INVALID"),
    "for somebody else": (lambda t: t.wrong_audience(USER), "TOKEN_INVALID"),
    "of another issuer": (lambda t: t.issue(sub=USER, iss="https://elsewhere"), "TOKEN_INVALID"),
    "no access token": (lambda t: t.issue(sub=USER, typ="JWT"), "TOKEN_INVALID"),
    "without an end": (lambda t: t.issue(sub=USER, exp=None), "TOKEN_INVALID"),
    "without a subject": (lambda t: t.issue(), "TOKEN_INVALID"),
    "of a subject that is no text": (lambda t: t.issue(sub=5), "TOKEN_INVALID"),
    "of roles that are no list": (lambda t: t.issue(sub=USER, roles="staff"), "TOKEN_INVALID"),
    "with a header of the wrong type": (_critical, "TOKEN_INVALID"),
    "with a key id that is no text": (_with_a_key_id_that_is_no_text, "TOKEN_INVALID"),
    "unsigned": (_unsigned, "TOKEN_INVALID"),
    "signed with the public key": (_signed_with_the_public_key, "TOKEN_INVALID"),
    "bringing its own key": (_bringing_its_own_key, "TOKEN_INVALID"),
    "no token but text": (lambda _: "hello", "TOKEN_INVALID"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_refused(database_url: str, tokens: Tokens, name: str) -> None:
    """Each for its own reason; none of them reaches the servicer."""
    make, reason = BAD_TOKENS[name]
    async with serving(database_url, tokens=tokens) as service:
        with refused(errors.Unauthenticated, reason):
            await InventoryServiceStub(service.channel(token=make(tokens))).GetReservation(LOOK_UP)


async def test_a_bad_token_is_refused_even_where_none_is_needed(database_url: str, tokens: Tokens) -> None:
    """Whoever shows a token wants to be somebody."""
    async with serving(database_url, tokens=tokens) as service:
        await InventoryServiceStub(service.channel()).GetAvailability(availability())
        with refused(errors.Unauthenticated, "TOKEN_EXPIRED"):
            await InventoryServiceStub(service.channel(token=tokens.expired(USER))).GetAvailability(availability())


async def test_a_role_is_needed_where_the_policy_says_so(database_url: str, tokens: Tokens) -> None:
    """A customer is somebody, but not staff."""
    async with serving(database_url, tokens=tokens) as service:
        await InventoryServiceStub(service.channel(token=tokens.staff())).GetReservation(LOOK_UP)
        with refused(errors.PermissionDenied, "ROLE_MISSING"):
            await InventoryServiceStub(service.channel(token=tokens.customer(USER))).GetReservation(LOOK_UP)


@pytest.mark.parametrize(
    ("peer", "reason"), [("", "PEER_UNKNOWN"), ("catalog", "CALL_NOT_DECLARED"), ("edge", "CALL_NOT_DECLARED")]
)
async def test_only_a_service_that_declares_the_call_may_make_it(
    database_url: str, tokens: Tokens, peer: str, reason: str
) -> None:
    """Not nobody, not another service, not the edge, not even for staff."""
    async with serving(database_url, tokens=tokens) as service:
        with refused(errors.PermissionDenied, reason):
            await InventoryServiceStub(service.channel(peer=peer, token=tokens.staff())).ReserveStock(reservation())
        await InventoryServiceStub(service.channel(peer="orders")).ReserveStock(reservation())


async def test_a_service_may_not_call_even_open_methods_it_does_not_declare(database_url: str, tokens: Tokens) -> None:
    """What a manifest does not say does not happen."""
    async with serving(database_url, tokens=tokens) as service:
        with refused(errors.PermissionDenied, "CALL_NOT_DECLARED"):
            await InventoryServiceStub(service.channel(peer="payments")).GetAvailability(availability())


async def test_an_asserted_peer_is_believed_on_loopback_alone(database_url: str) -> None:
    """Anywhere else the process does not start."""
    with pytest.raises(SettingsError, match="development on loopback alone"):
        async with serving(database_url, grpc_address="0.0.0.0:0"):
            raise AssertionError


async def test_behind_a_sidecar_the_last_hops_certificate_counts(database_url: str) -> None:
    """Whatever a caller writes into the header itself stands before what the sidecar appends, and cannot reach into it."""
    prefix = "spiffe://cluster.local/ns/tradewind/sa"
    async with serving(database_url, peer_identity="xfcc") as service:

        async def reserve(header: str) -> None:
            await InventoryServiceStub(service.channel(x_forwarded_client_cert=header)).ReserveStock(reservation())

        await reserve(f"By={prefix}/inventory;Hash=1;URI={prefix}/orders")
        with refused(errors.PermissionDenied, "CALL_NOT_DECLARED"):
            await reserve(f"URI={prefix}/orders,By={prefix}/inventory;Hash=1;URI={prefix}/catalog")
        with refused(errors.PermissionDenied, "CALL_NOT_DECLARED"):
            await reserve(f'Hash=1;Subject="CN=x,URI={prefix}/orders";URI={prefix}/catalog')
        with refused(errors.PermissionDenied, "CALL_NOT_DECLARED"):
            await reserve(f'URI={prefix}/orders;Subject=",By={prefix}/inventory;Hash=1;Subject="";URI={prefix}/catalog')
        with refused(errors.PermissionDenied, "PEER_UNKNOWN"):
            await reserve("URI=spiffe://elsewhere/ns/tradewind/sa/orders")
        with refused(errors.PermissionDenied, "PEER_UNKNOWN"):
            await InventoryServiceStub(service.channel(peer="orders")).ReserveStock(reservation())


def _dial(target: str, directory: Path) -> grpc.aio.Channel:
    files = [(directory / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt")]
    options = [("grpc.ssl_target_name_override", "inventory")]
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(*files), options)


async def test_with_mutual_tls_the_certificate_says_who_calls(database_url: str, tmp_path: Path) -> None:
    """And a caller without one of our authority does not get through at all."""
    authority = Authority()
    mine, orders, catalog = (authority.issue(name, tmp_path / name) for name in ("inventory", "orders", "catalog"))
    stranger = Authority().issue("orders", tmp_path / "stranger")
    (stranger / "ca.crt").write_bytes(authority.pem)
    async with serving(database_url, peer_identity="mtls", tls_dir=str(mine)) as service:
        async with _dial(service.target, orders) as channel:
            await InventoryServiceStub(channel).ReserveStock(reservation())
        async with _dial(service.target, catalog) as channel:
            with refused(errors.PermissionDenied, "CALL_NOT_DECLARED"):
                await InventoryServiceStub(channel).ReserveStock(reservation())
        async with _dial(service.target, stranger) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await InventoryServiceStub(channel).ReserveStock(reservation())
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


class Issuer:
    """Publishes keys, and counts how often it is asked for them."""

    def __init__(self) -> None:
        self.keys = {"first": ECKey.generate_key("P-256", {"kid": "first"})}
        self.fetches = 0
        self.is_down = False

    async def fetch(self) -> bytes:
        """The published keys."""
        self.fetches += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise OSError("connection refused")
        return json.dumps(KeySet(list(self.keys.values())).as_dict(private=False)).encode()

    def token(self, key_id: str, lifetime: int = 60) -> str:
        """A token signed with that key, published or not."""
        key = self.keys.get(key_id) or ECKey.generate_key("P-256", {"kid": key_id})
        claims = {"sub": USER, "iss": "i", "aud": "a", "exp": int(time.time()) + lifetime, "roles": []}
        return jwt.encode({"alg": ALGORITHM, "typ": "at+jwt", "kid": key_id}, claims, key)


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    """Keys are rotated without anybody being told, and without a token of the old key failing."""
    issuer, clock = Issuer(), [0.0]
    verifier = TokenVerifier(PublishedKeys(issuer.fetch, now=lambda: clock[0]), "i", "a")
    await verifier.verify(issuer.token("first"))
    issuer.keys["second"] = ECKey.generate_key("P-256", {"kid": "second"})
    clock[0] += 60
    await verifier.verify(issuer.token("second"))
    await verifier.verify(issuer.token("first"))
    assert issuer.fetches == 2


async def test_a_flood_of_unknown_keys_is_no_flood_of_fetches() -> None:
    """Anybody can write a key id into a token."""
    issuer = Issuer()
    verifier = TokenVerifier(PublishedKeys(issuer.fetch, now=lambda: 0.0), "i", "a")
    for number in range(50):
        with pytest.raises(errors.Unauthenticated):
            await verifier.verify(issuer.token(f"unknown-{number}"))
    assert issuer.fetches == 1


async def test_one_fetch_serves_all_who_wait_for_it_and_outlives_them() -> None:
    """A caller in a hurry must not make everybody else begin again."""
    issuer, asked, go_on = Issuer(), asyncio.Event(), asyncio.Event()

    async def slowly() -> bytes:
        asked.set()
        keys = await issuer.fetch()
        await go_on.wait()
        return keys

    verifier = TokenVerifier(PublishedKeys(slowly, now=lambda: 0.0), "i", "a")
    waiting = [asyncio.create_task(verifier.verify(issuer.token("first"))) for _ in range(5)]
    await asked.wait()
    waiting[0].cancel()
    go_on.set()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [True, False, False, False, False]
    assert {task.result().subject for task in waiting[1:]} == {USER}
    assert issuer.fetches == 1


async def test_a_token_may_be_used_before_every_clock_has_come_to_its_beginning(tokens: Tokens) -> None:
    """Clocks differ a little; an end is an end all the same."""
    verifier = TokenVerifier(PublishedKeys(tokens.fetch), RuntimeSettings.token_issuer, RuntimeSettings.token_audience)
    now = int(time.time())
    assert (await verifier.verify(tokens.issue(sub=USER, iat=now + 2, nbf=now + 2))).subject == USER
    with pytest.raises(errors.Unauthenticated) as raised:
        await verifier.verify(tokens.issue(sub=USER, exp=now - 1))
    assert raised.value.reason == "TOKEN_EXPIRED"


async def test_known_keys_outlive_their_publisher() -> None:
    """Identity being down logs nobody out; a process that has no key yet says that it cannot tell."""
    issuer, clock = Issuer(), [0.0]
    verifier = TokenVerifier(PublishedKeys(issuer.fetch, now=lambda: clock[0]), "i", "a")
    issuer.is_down = True
    with pytest.raises(errors.Unavailable) as raised:
        await verifier.verify(issuer.token("first"))
    assert raised.value.reason == "KEYS_UNAVAILABLE"
    issuer.is_down = False
    await verifier.verify(issuer.token("first"))
    issuer.is_down = True
    clock[0] += 3600
    await verifier.verify(issuer.token("first"))


def _in_turn(*fetches: Fetch) -> Fetch:
    left = iter(fetches)

    async def fetch() -> bytes:
        return await next(left)()

    return fetch


NO_KEYS = {
    "no object": b"[]",
    "no keys": b"{}",
    "a key of no kind": b'{"keys": [{"kty": []}]}',
    "no end to it": b"[" * 100_000,
    "no HTTP": http.client.BadStatusLine("SSH-2.0"),
    "half an answer": http.client.IncompleteRead(b"{"),
}


@pytest.mark.parametrize("answer", NO_KEYS.values(), ids=NO_KEYS)
async def test_whatever_comes_instead_of_keys_takes_none_away(answer: bytes | Exception) -> None:
    """A process that knows a key goes on with it; one that knows none says that it cannot tell."""
    issuer, clock = Issuer(), [0.0]
    is_asked = asyncio.Event()

    async def wrongly() -> bytes:
        is_asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(errors.Unavailable):
        await TokenVerifier(PublishedKeys(wrongly), "i", "a").verify(issuer.token("first"))
    is_asked.clear()
    verifier = TokenVerifier(PublishedKeys(_in_turn(issuer.fetch, wrongly), now=lambda: clock[0]), "i", "a")
    await verifier.verify(issuer.token("first"))
    clock[0] += 3600
    await verifier.verify(issuer.token("first"))
    await is_asked.wait()
    await verifier.verify(issuer.token("first"))


async def test_a_known_key_waits_for_no_publisher() -> None:
    """It is asked again now and then; while it does not answer, what is known is good enough."""
    issuer, clock = Issuer(), [0.0]
    is_asked = asyncio.Event()

    async def never() -> bytes:
        is_asked.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]  # which it never does

    verifier = TokenVerifier(PublishedKeys(_in_turn(issuer.fetch, never), now=lambda: clock[0]), "i", "a")
    await verifier.verify(issuer.token("first"))
    clock[0] += 3600
    async with asyncio.timeout(5):
        await verifier.verify(issuer.token("first"))
        await is_asked.wait()


async def test_a_token_of_a_key_that_is_no_longer_published_is_forgotten() -> None:
    """However long it would be good for: whoever has stolen a key writes that himself."""
    issuer, clock = Issuer(), [time.time()]
    ring = PublishedKeys(issuer.fetch, now=lambda: clock[0])
    verifier = TokenVerifier(ring, "i", "a", now=lambda: clock[0])
    token = issuer.token("first", lifetime=10**9)
    await verifier.verify(token)
    issuer.keys = {"second": ECKey.generate_key("P-256", {"kid": "second"})}
    clock[0] += 600
    await verifier.verify(issuer.token("second", lifetime=10**9))
    with pytest.raises(errors.Unauthenticated) as raised:
        await verifier.verify(token)
    assert raised.value.reason == "TOKEN_INVALID"


async def test_keys_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that does not answer is nothing urllib gives up on in time."""
    monkeypatch.setattr(tokens_module, "FETCH_SECONDS", 0.01)
    may_go_on = threading.Event()
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: may_go_on.wait())
    fetching = asyncio.ensure_future(http_fetch("http://identity:9000/")())
    await asyncio.wait([fetching], timeout=5)
    may_go_on.set()
    assert isinstance(fetching.exception(), TimeoutError)
