"""Who may call what: every method of every service, tried by everybody who may not and everybody who may.

Straight at the services, past the edge: each of them checks for itself. Requests are empty, and no change is accepted
without a request id, so that whoever gets through gets no further than validation.
"""

import asyncio
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from chassis.contract import manifest
from chassis.contract.descriptors import Caller, Method
from tests.journeys.contract import METHODS, ask, process_of
from tests.journeys.world import Person, World, new_id

SERVICES = sorted({process_of(method) for method in METHODS})
LET_THROUGH = "let through"

Case = tuple[str, dict[str, str], str]
"""What is tried, with which metadata, and how it ends."""


def _cases(method: Method, world: World) -> Iterator[Case]:
    """Every caller there is to this method."""
    customer, staff = new_id(), new_id()
    tokens = {
        "no token": "",
        "customer": world.issuer.issue(customer),
        "staff": world.issuer.issue(staff, "customer", "staff"),
        "unknown role": world.issuer.issue(customer, "admiral"),
    }
    declared = manifest.callers().get(method.name, frozenset())
    for name, token in tokens.items():
        yield name, _bearer(token), _verdict(method, name)
        yield f"{name}, through the edge", {**_bearer(token), **_peer("edge")}, _verdict(method, name, peer="edge")
    for name, (token, reason) in world.issuer.bad_tokens(staff).items():
        yield name, _bearer(token), f"UNAUTHENTICATED {reason}"
        for peer in declared:
            yield f"{name}, from {peer}", {**_bearer(token), **_peer(peer)}, f"UNAUTHENTICATED {reason}"
    for peer in {*SERVICES, "stranger"} - declared:
        metadata = {**_bearer(tokens["staff"]), **_peer(peer)}
        yield f"staff, from {peer}", metadata, "PERMISSION_DENIED CALL_NOT_DECLARED"
    for peer in declared:
        yield f"staff, from {peer}", {**_bearer(tokens["staff"]), **_peer(peer)}, LET_THROUGH
        yield f"from {peer}", _peer(peer), _verdict(method, "no token", peer=peer)


def _verdict(method: Method, who: str, peer: str = "") -> str:
    """What the method's policy says of somebody with a good token, or none."""
    match method.caller:
        case Caller.SERVICE if not peer:
            return "PERMISSION_DENIED PEER_UNKNOWN"
        case Caller.SERVICE if peer == "edge":
            return "PERMISSION_DENIED CALL_NOT_DECLARED"
        case Caller.CUSTOMER | Caller.STAFF if who == "no token":
            return "UNAUTHENTICATED TOKEN_MISSING"
        case Caller.STAFF if who != "staff":
            return "PERMISSION_DENIED ROLE_MISSING"
    return LET_THROUGH


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def _peer(name: str) -> dict[str, str]:
    return {"x-tradewind-peer": name}


async def _outcome(world: World, method: Method, metadata: dict[str, str]) -> str:
    code, reason, _ = await ask(world.channel(process_of(method)), method, tuple(metadata.items()))
    is_refused = code in ("UNAUTHENTICATED", "PERMISSION_DENIED")
    # Whoever was let through has sent nothing that could fail for another reason than being empty, or not being there.
    assert is_refused or code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"), f"{code} {reason}"
    return f"{code} {reason}" if is_refused else LET_THROUGH


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_a_method_lets_through_whom_its_policy_names(world: World, method: Method) -> None:
    """And refuses everybody else, each for the right reason."""
    cases = list(_cases(method, world))
    outcomes = await asyncio.gather(*(_outcome(world, method, metadata) for _, metadata, _ in cases))
    told = {name: outcome for (name, _, _), outcome in zip(cases, outcomes, strict=True)}
    assert told == {name: expected for name, _, expected in cases}


def test_a_method_that_changes_something_needs_a_request_id() -> None:
    """Or the empty requests of this matrix would be more than a question."""
    assert {method.short_name for method in METHODS if not method.has_request_id and not _only_reads(method)} == set()


def _only_reads(method: Method) -> bool:
    return method.short_name.startswith(("Get", "BatchGet", "List", "Watch", "Explain"))


@pytest.fixture(scope="module")
async def owned(world: World, ada: Person) -> dict[str, str]:
    """What is Ada's, by the name of the field that names it in a request."""
    order = await ada.place({await world.sell(): 1})
    await ada.outcome(order["order_id"])
    return {"order_id": order["order_id"], "customer_id": ada.user_id}


PERSONAL = [method for method in METHODS if method.caller is Caller.CUSTOMER]


def _about(method: Method, owned: dict[str, str]) -> Message:
    """A request that is as complete as can be known, and names everything in it that is somebody else's."""
    request = method.request_type()
    for field in request.DESCRIPTOR.fields:
        if field.name == "request_id":
            request.request_id = new_id()
        elif field.name.endswith("_id"):
            assert field.name in owned, f"{method.name}: say in `owned` whose {field.name} is to be kept from others"
            setattr(request, field.name, owned[field.name])
    return request


@pytest.mark.parametrize("method", PERSONAL, ids=lambda method: method.name)
async def test_nobody_learns_of_what_is_somebody_else_s(
    world: World, ada: Person, eve: Person, owned: dict[str, str], method: Method
) -> None:
    """A resource of another customer is not there; what is listed is the caller's own."""
    channel, request = world.channel(process_of(method)), _about(method, owned)
    code, reason, answer = await ask(channel, method, eve.metadata, request)

    if any(field.name == "order_id" for field in request.DESCRIPTOR.fields):
        assert (code, reason) == ("NOT_FOUND", "ORDER_NOT_FOUND")
    else:
        assert code in ("OK", "INVALID_ARGUMENT"), (code, reason)
    for secret in (*owned.values(), ada.user_id, ada.email):
        assert secret.encode() not in (answer.SerializeToString() if answer else b"")
    assert (await ada.order(owned["order_id"]))["state"] == "ORDER_STATE_CONFIRMED"


@pytest.mark.parametrize("method", PERSONAL, ids=lambda method: method.name)
async def test_its_owner_does(world: World, ada: Person, owned: dict[str, str], method: Method) -> None:
    """Or the test above would prove nothing: for the owner the resource is there."""
    code, _, _ = await ask(world.channel(process_of(method)), method, ada.metadata, _about(method, owned))
    assert code != "NOT_FOUND"
