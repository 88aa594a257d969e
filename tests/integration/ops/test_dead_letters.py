"""What staff see and do of a service's dead letters, by its RPCs."""

import uuid
from collections.abc import AsyncIterator

import pytest

from chassis.core import errors
from chassis.messaging.inbox import ReceivedMessage
from chassis.testing.refusals import refused
from tests.conftest import Nats, NewDatabase
from tests.integration.messaging.facts import eventually
from tests.integration.ops.operated import Operated, operated
from tradewind.operations.v1 import dead_letter_service_pb2 as pb
from tradewind.operations.v1.dead_letter_pb2 import (
    DEAD_LETTER_REASON_FAILED,
    DEAD_LETTER_STATE_DISCARDED,
    DEAD_LETTER_STATE_REDRIVEN,
    DEAD_LETTER_STATE_REDRIVING,
    DEAD_LETTER_STATE_UNRESOLVED,
    DeadLetterState,
)
from tradewind.operations.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub


@pytest.fixture
async def it(new_database: NewDatabase) -> AsyncIterator[Operated]:
    """A service whose consumer does not run."""
    async with operated(new_database("notifications")) as it:
        yield it


def redrive(event_id: str = "") -> pb.RedriveDeadLettersRequest:
    """The wish to have one tried again, or all."""
    return pb.RedriveDeadLettersRequest(request_id=str(uuid.uuid4()), event_id=event_id)


def discard(event_id: str, note: str = "the account was closed") -> pb.DiscardDeadLetterRequest:
    """The wish that one never takes effect."""
    return pb.DiscardDeadLetterRequest(request_id=str(uuid.uuid4()), event_id=event_id, note=note)


async def listed(it: Operated, state: DeadLetterState.ValueType = 0) -> list[str]:
    """The letters in that state, in small pages."""
    request, seen = pb.ListDeadLettersRequest(state=state, page_size=2), list[str]()
    while True:
        page = await it.staff_letters.ListDeadLetters(request)
        seen += [dead.event_id for dead in page.dead_letters]
        if not page.next_page_token:
            return seen
        request.page_token = page.next_page_token


async def state_of(it: Operated, event_id: str) -> DeadLetterState.ValueType:
    """What has become of a letter."""
    return (await it.staff_letters.GetDeadLetter(pb.GetDeadLetterRequest(event_id=event_id))).dead_letter.state


async def test_dead_letters_are_listed_the_longest_dead_first(it: Operated) -> None:
    """Page after page, those that nobody has resolved."""
    event_ids = [await it.bury(f"user-{number}") for number in range(5)]
    assert await listed(it) == event_ids
    await it.staff_letters.RedriveDeadLetters(redrive(event_ids[1]))
    await it.staff_letters.DiscardDeadLetter(discard(event_ids[2]))
    assert await listed(it) == [event_ids[0], *event_ids[1:2], *event_ids[3:]]
    assert await listed(it, DEAD_LETTER_STATE_REDRIVING) == event_ids[1:2]
    assert await listed(it, DEAD_LETTER_STATE_UNRESOLVED) == [event_ids[0], *event_ids[3:]]
    assert await listed(it, DEAD_LETTER_STATE_DISCARDED) == event_ids[2:3]
    assert await listed(it, DEAD_LETTER_STATE_REDRIVEN) == []


async def test_a_dead_letter_is_shown_without_its_secrets(it: Operated) -> None:
    """An address is nobody's business who looks after letters; that there is one is."""
    event_id = await it.bury("ada", error="x" * 2_000)
    answer = await it.staff_letters.GetDeadLetter(pb.GetDeadLetterRequest(event_id=event_id))
    dead, content = answer.dead_letter, answer.content
    assert (dead.aggregate_id, dead.deliveries, dead.reason) == ("ada", 8, DEAD_LETTER_REASON_FAILED)
    assert dead.error == "x" * 1_000
    assert content.headers["ce-id"] == event_id
    assert '"user_id": "ada"' in content.event_json
    assert '"email": "[redacted]"' in content.event_json
    assert b"ada@example.com" not in answer.SerializeToString()


async def test_what_cannot_be_read_is_shown_as_it_is(it: Operated) -> None:
    """Bytes that are no message, and facts of a type this service knows nothing of."""
    for user_id, event_type in (("ada", "tradewind.identity.v1.UserRegistered"), ("eve", "tradewind.nobody.v1.Knows")):
        event_id = await it.bury(user_id, payload=b"\xff\xff", event_type=event_type)
        content = (await it.staff_letters.GetDeadLetter(pb.GetDeadLetterRequest(event_id=event_id))).content
        assert (content.event_json, content.unreadable_payload) == ("", b"\xff\xff")


async def test_letters_are_redriven_while_the_consumer_runs(new_database: NewDatabase, nats_server: Nats) -> None:
    """One that still fails is as dead as before; what nobody asked for is left alone."""
    async with operated(new_database("notifications"), nats_server) as it:
        ada, eve, bob = [await it.bury(user_id) for user_id in ("ada", "eve", "bob")]
        it.failing["eve"] = 1
        assert (await it.staff_letters.RedriveDeadLetters(redrive(ada))).redriving_count == 1
        await eventually(lambda: is_in(it, ada, DEAD_LETTER_STATE_REDRIVEN))
        assert it.heard == ["ada"]
        assert (await it.staff_letters.RedriveDeadLetters(redrive())).redriving_count == 2
        await eventually(lambda: is_in(it, bob, DEAD_LETTER_STATE_REDRIVEN))
        await eventually(lambda: is_in(it, eve, DEAD_LETTER_STATE_UNRESOLVED))
        assert it.heard == ["ada", "bob"]
        assert await listed(it) == [eve]


async def is_in(it: Operated, event_id: str, state: DeadLetterState.ValueType) -> bool:
    """Whether a letter has come to a state."""
    return await state_of(it, event_id) == state


async def test_a_discarded_letter_is_kept_and_never_takes_effect(new_database: NewDatabase, nats_server: Nats) -> None:
    """With who decided it and why; and when its fact is delivered once more, it counts as handled."""
    async with operated(new_database("notifications"), nats_server) as it:
        event_id = await it.bury("ada")
        dead = (await it.staff_letters.DiscardDeadLetter(discard(event_id))).dead_letter
        assert (dead.state, dead.resolve_note) == (DEAD_LETTER_STATE_DISCARDED, "the account was closed")
        assert dead.resolver_id == "00000000-0000-7000-8000-00000000057a"
        assert dead.HasField("resolve_time")
        with refused(errors.FailedPrecondition, "DEAD_LETTER_RESOLVED"):
            await it.staff_letters.RedriveDeadLetters(redrive(event_id))
        await deliver_again(nats_server, it, event_id)
        await eventually(lambda: has_heard(it, "eve"))
        assert it.heard == ["eve"]
        assert await listed(it) == []


async def deliver_again(nats_server: Nats, it: Operated, event_id: str) -> None:
    """Have the broker deliver the fact of a letter, and then another of somebody else, on one stream."""
    letter = await letter_of(it, event_id)
    broker = nats_server.connection("identity")
    broker.open()
    await eventually(broker.is_connected)
    await broker.store(letter.subject, letter.payload, letter.headers)
    other = {**letter.headers, "ce-id": "event-eve", "ce-subject": "eve"}
    payload = letter.payload.replace(b"ada", b"eve")
    await broker.store(letter.subject.replace("ada", "eve"), payload, other)
    await broker.close()


async def letter_of(it: Operated, event_id: str) -> ReceivedMessage:
    """A dead letter as it was delivered."""
    query = "SELECT subject, headers, payload FROM dead_letter WHERE event_id = %(id)s"
    async with it.service.database.read() as reader:
        row = await reader.one(query, id=event_id)
    return ReceivedMessage(row["subject"], row["headers"], row["payload"])


async def has_heard(it: Operated, user_id: str) -> bool:
    """Whether a fact about somebody has taken effect."""
    return user_id in it.heard


async def test_what_cannot_be_decided_is_refused_with_the_reason(it: Operated) -> None:
    """And a decision is made once: its repeat gets the first answer."""
    event_id = await it.bury("ada")
    for request in (redrive("event-of-nobody"), discard("event-of-nobody")):
        with refused(errors.NotFound, "DEAD_LETTER_NOT_FOUND"):
            await send(it, request)
    with refused(errors.NotFound, "DEAD_LETTER_NOT_FOUND"):
        await state_of(it, "event-of-nobody")
    with refused(errors.InvalidArgument, "REQUEST_INVALID"):
        await send(it, discard(event_id, note=""))
    await send(it, redrive(event_id))
    with refused(errors.FailedPrecondition, "DEAD_LETTER_REDRIVING"):
        await send(it, discard(event_id))
    other = discard(await it.bury("eve"))
    assert await send(it, other) == await send(it, other)
    with refused(errors.FailedPrecondition, "DEAD_LETTER_RESOLVED"):
        await send(it, discard(other.event_id))


async def send(it: Operated, request: pb.RedriveDeadLettersRequest | pb.DiscardDeadLetterRequest) -> object:
    """Have it done."""
    if isinstance(request, pb.DiscardDeadLetterRequest):
        return await it.staff_letters.DiscardDeadLetter(request)
    return await it.staff_letters.RedriveDeadLetters(request)


async def test_only_staff_look_after_letters(it: Operated) -> None:
    """Customers, strangers and other services do not."""
    tokens = it.service.tokens
    cases: list[tuple[dict[str, str], type[errors.Problem], str]] = [
        ({"token": tokens.customer("ada")}, errors.PermissionDenied, "ROLE_MISSING"),
        ({}, errors.Unauthenticated, "TOKEN_MISSING"),
        ({"token": tokens.staff(), "peer": "orders"}, errors.PermissionDenied, "CALL_NOT_DECLARED"),
    ]
    for who, kind, reason in cases:
        with refused(kind, reason):
            await DeadLetterServiceStub(it.service.channel(**who)).ListDeadLetters(pb.ListDeadLettersRequest())
