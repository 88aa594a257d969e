"""Accounts, sessions and keys, from the outside."""

import json
from base64 import urlsafe_b64decode

import httpx
import psycopg
import pytest

from tests.journeys.contract import METHODS, ask
from tests.journeys.refusals import refusal
from tests.journeys.world import PASSWORD, Person, World, new_id
from tests.waiting import eventually
from tools.client.shop import Shop


@pytest.fixture
async def grace(world: World) -> Person:
    """A customer whose account may change."""
    return await world.customer("Grace")


async def log_in(shop: Shop, person: Person, password: str = PASSWORD) -> httpx.Response:
    """A login as it is answered."""
    body = {"request_id": new_id(), "email": person.email, "password": password}
    return await shop.http.post("/v1/sessions", json=body)


async def refresh(shop: Shop, token: str) -> httpx.Response:
    """An exchange of a refresh token as it is answered."""
    return await shop.http.post("/v1/sessions:refresh", json={"request_id": new_id(), "refresh_token": token})


async def test_an_address_has_one_account(world: World, grace: Person) -> None:
    """Whatever the case of its letters."""
    body = {"request_id": new_id(), "email": grace.email.upper(), "password": PASSWORD, "display_name": "Grace"}
    assert refusal(await world.shop.http.post("/v1/users", json=body)) == (409, "EMAIL_TAKEN")


async def test_a_session_goes_on_until_a_token_is_used_twice(world: World, grace: Person) -> None:
    """Then one of its two users stole it, and it is over for both."""
    first = (await log_in(world.shop, grace)).json()["tokens"]["refresh_token"]
    second = (await refresh(world.shop, first)).json()["tokens"]["refresh_token"]
    assert refusal(await refresh(world.shop, first)) == (401, "REFRESH_TOKEN_REUSED")
    assert refusal(await refresh(world.shop, second)) == (401, "REFRESH_TOKEN_REFUSED")


async def test_who_logged_out_stays_out(world: World, grace: Person) -> None:
    """The session's refresh token is good for nothing."""
    token = (await log_in(world.shop, grace)).json()["tokens"]["refresh_token"]
    body = {"request_id": new_id(), "refresh_token": token}
    assert (await world.shop.http.post("/v1/sessions:logout", json=body)).status_code == 200
    assert refusal(await refresh(world.shop, token)) == (401, "REFRESH_TOKEN_REFUSED")


async def test_guesses_are_refused_and_then_not_even_heard(world: World, grace: Person) -> None:
    """An unknown address is told the same as a known one; after ten guesses the right password is too late too."""
    nobody = Person(world.shop, "", "", f"nobody-{new_id()[:8]}@example.com")
    for person in (grace, nobody):
        guesses = [refusal(await log_in(world.shop, person, f"guess {number}")) for number in range(11)]
        assert guesses == [(401, "CREDENTIALS_REFUSED")] * 10 + [(429, "LOGIN_LOCKED")]
    locked = await log_in(world.shop, grace)
    assert refusal(locked) == (429, "LOGIN_LOCKED")
    assert any(detail["@type"].endswith("RetryInfo") for detail in locked.json()["details"])


async def test_a_profile_is_changed_by_whoever_read_it_last(grace: Person) -> None:
    """A change that is based on an older one is refused."""
    etag = (await grace.get("/v1/profile"))["profile"]["etag"]
    change = {"display_name": "Admiral Grace", "update_mask": "display_name", "etag": etag}
    changed = await grace.send("PATCH", "/v1/profile", change)
    assert changed.json()["profile"]["display_name"] == "Admiral Grace"
    assert refusal(await grace.send("PATCH", "/v1/profile", change)) == (409, "ETAG_MISMATCH")


async def test_a_new_role_counts_from_the_next_token_on(world: World, grace: Person) -> None:
    """Staff make staff, and unmake them; but not the last one."""
    roles = f"/v1/users/{grace.user_id}/roles"
    answer = await world.staff.send("PUT", roles, {"roles": ["ROLE_CUSTOMER", "ROLE_STAFF"]})
    assert answer.status_code == 200, answer.text
    assert refusal(await grace.send("GET", "/v1/ledger-entries")) == (403, "ROLE_MISSING")
    promoted = await world.log_in(grace.email, PASSWORD)
    assert (await promoted.send("GET", "/v1/ledger-entries")).status_code == 200

    assert (await promoted.send("PUT", roles, {"roles": ["ROLE_CUSTOMER"]})).status_code == 200
    last = await world.staff.send("PUT", f"/v1/users/{world.staff.user_id}/roles", {"roles": ["ROLE_CUSTOMER"]})
    assert refusal(last) == (400, "LAST_STAFF")


@pytest.fixture
async def rotated(world: World) -> str:
    """The id of a new signing key, published, and as old as it must be to sign."""
    key_id: str = (await world.staff.send("POST", "/v1/signing-keys:rotate", {})).json()["key_id"]
    again = await world.staff.send("POST", "/v1/signing-keys:rotate", {})
    assert refusal(again) == (400, "ROTATION_PENDING")
    with psycopg.connect(world.stack.secret("identity", "database_url")) as connection:
        connection.execute("UPDATE signing_key SET active_at = created_at WHERE key_id = %s", [key_id])
    world.stack.kill("identity")  # It reads the keys again when it starts.
    await world.healthy("identity")
    return key_id


async def test_keys_are_rotated_while_customers_are_logged_in(ada: Person, world: World, rotated: str) -> None:
    """Both keys are published; tokens of either are good at the edge and at every service."""
    keys = (await world.shop.http.get("/.well-known/jwks.json")).json()["keys"]
    assert {world.issuer.key_id, rotated} <= {key["kid"] for key in keys}

    later = await _logged_in(world, ada)
    assert (_key_id(ada.token), _key_id(later.token)) == (world.issuer.key_id, rotated)
    for method in (m for m in METHODS if m.short_name in ("GetProfile", "GetPreferences", "ListOrders")):
        for person in (ada, later):
            code, _, _ = await ask(world.channel(method.name.split(".")[1]), method, person.metadata)
            assert code == "OK", method.name
    assert (await ada.send("GET", "/v1/profile")).status_code == 200


async def _logged_in(world: World, person: Person) -> Person:
    """Ada with a token of the new key. The edge fetches the keys every ten seconds: it is at fault for no longer."""
    token = (await log_in(world.shop, person)).json()["tokens"]["access_token"]
    later = Person(world.shop, token, person.user_id, person.email)

    async def is_known_at_the_edge() -> bool:
        return (await later.send("GET", "/v1/profile")).status_code == 200

    await eventually(is_known_at_the_edge)
    return later


def _key_id(token: str) -> str:
    key_id: str = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))["kid"]
    return key_id
