"""The small parts of the chassis: ids, deadlines, page tokens, fail-points, manifests."""

import asyncio
import types
import uuid
from datetime import UTC, datetime

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.contract import manifest, status
from chassis.contract.manifest import ManifestError
from chassis.contract.paging import Pages
from chassis.contract.wire import timestamp
from chassis.core import deadline, errors, failpoints, ids
from chassis.core.errors import Problem
from chassis.core.sealing import Keyring
from chassis.core.settings import SettingsError
from chassis.rpc.breaker import THRESHOLD, Breaker
from tradewind.catalog.v1.catalog_service_pb2 import ListProductsRequest


def test_new_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    """RFC 9562: an index on them grows at its end."""
    made = [ids.uuid7() for _ in range(100)]
    assert {uuid.UUID(each).version for each in made} == {7}
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}
    assert [each[:8] for each in made] == sorted(each[:8] for each in made)
    assert len(set(made)) == 100


def test_derived_ids_come_out_the_same_and_depend_on_every_part() -> None:
    """A step that is tried again sends the id it sent before."""
    assert ids.derived("saga", "step") == ids.derived("saga", "step")
    assert len({ids.derived("a", "bc"), ids.derived("ab", "c"), ids.derived("abc"), ids.derived("a", "b", "c")}) == 4


async def test_an_inner_deadline_cannot_be_longer_than_the_outer() -> None:
    """Time only gets less."""
    async with deadline.timeout(0.05):
        async with deadline.timeout(10):
            assert (deadline.remaining() or 99) <= 0.05
            assert deadline.shrunk(3) <= 0.05
        assert deadline.remaining() is not None
    assert deadline.remaining() is None
    assert deadline.shrunk(3) == 3


async def test_work_past_its_deadline_ends_as_a_problem() -> None:
    """And the block's own timeouts stay its own."""
    with pytest.raises(errors.DeadlineExceeded):
        async with deadline.timeout(0.01):
            await asyncio.Event().wait()


PAGES = Pages(Keyring.parse("11" * 32))
QUERY = ListProductsRequest(category="lamps", page_size=10)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50) | st.integers(-(2**53), 2**53), max_size=5))
def test_a_page_token_gives_back_what_it_was_made_of(cursor: dict[str, str | int]) -> None:
    """Whatever the cursor holds; and the size of the next page is the caller's choice."""
    token = PAGES.token(QUERY, cursor)
    assert PAGES.cursor(ListProductsRequest(category="lamps", page_size=99, page_token=token), token) == cursor


@given(st.text(min_size=1, max_size=200))
def test_a_page_token_cannot_be_made_up(token: str) -> None:
    """Anything else is INVALID_ARGUMENT, whatever it is."""
    with pytest.raises(errors.InvalidArgument) as raised:
        PAGES.cursor(QUERY, token)
    assert raised.value.reason == "PAGE_TOKEN_INVALID"


def test_a_page_token_continues_its_own_query_alone() -> None:
    """Not one with other filters, and not that of a service with another secret."""
    token = PAGES.token(QUERY, {"sku": "A"})
    for pages, query in ((PAGES, ListProductsRequest(category="tables")), (Pages(Keyring.parse("22" * 32)), QUERY)):
        with pytest.raises(errors.InvalidArgument):
            pages.cursor(query, token)


@given(st.sampled_from(sorted(errors.BY_KIND.values(), key=lambda t: t.__name__)), st.text(), st.text(min_size=1))
def test_a_problem_survives_the_wire(problem_type: type[Problem], message: str, value: str) -> None:
    """Its type, reason, message and metadata."""
    sent = problem_type(message, reason="WHY", detail=value)
    received = status.from_status(status.to_status(sent))
    assert (type(received), received.reason, received.message, received.metadata) == (
        problem_type,
        "WHY",
        message,
        {"detail": value},
    )


def test_what_stands_in_the_way_survives_the_wire() -> None:
    """Each obstacle by itself, so that none is a key of the metadata."""
    sent = errors.FailedPrecondition("no", obstacles=(errors.Obstacle("OUT_OF_STOCK", "TEAPOT", "5 available"),))
    received = status.from_status(status.to_status(sent))
    assert isinstance(received, errors.FailedPrecondition)
    assert (received.obstacles, received.metadata) == (sent.obstacles, {})


def test_obstacles_without_end_are_told_in_what_a_client_takes() -> None:
    """Of longer statuses than eight kibibytes, some reach their callers as RESOURCE_EXHAUSTED: gRPC draws lots."""
    obstacles = tuple(errors.Obstacle("OUT_OF_STOCK", f"{number:032}", "999999 available") for number in range(100))
    told = status.to_status(errors.FailedPrecondition("no", obstacles=obstacles))
    received = status.from_status(told)
    assert isinstance(received, errors.FailedPrecondition)
    assert received.obstacles == obstacles[: len(received.obstacles)]
    assert len(received.obstacles) > 50
    assert told.ByteSize() < 8192


def _failed(code: grpc.StatusCode, details: bytes | None = None) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata() if details is None else grpc.aio.Metadata((status.DETAILS_KEY, details))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "gone")


@pytest.mark.parametrize(
    "details",
    [b"\xff\xff\xff", b"", status.to_status(errors.NotFound("no")).SerializeToString()],
    ids=["garbage", "nothing", "another code"],
)
def test_details_that_cannot_be_meant_say_nothing(details: bytes) -> None:
    """The code does: whatever stands between two services may have put both there."""
    problem = status.from_rpc_error(_failed(grpc.StatusCode.UNAVAILABLE, details))
    assert (type(problem), problem.reason) == (errors.Unavailable, "PEER_UNAVAILABLE")


def test_a_peer_that_cancels_is_unavailable() -> None:
    """It stops. Our caller has not given up, and may try again; and for the breaker it is no success."""
    problem = status.from_rpc_error(_failed(grpc.StatusCode.CANCELLED))
    assert (type(problem), problem.reason) == (errors.Unavailable, "PEER_CANCELLED")


async def test_a_fail_point_does_what_it_is_armed_for_and_nothing_otherwise() -> None:
    """Those that are not named let everything pass."""
    await failpoints.reach("somewhere")
    failpoints.arm("somewhere=error")
    try:
        with pytest.raises(errors.Unavailable, match="somewhere"):
            await failpoints.reach("somewhere")
        await failpoints.reach("elsewhere")
    finally:
        failpoints.arm("")


@pytest.mark.parametrize("text", ["somewhere=explode", "somewhere", "=kill", "somewhere=kill,kill"])
def test_what_arms_no_fail_point_is_refused(text: str) -> None:
    """A fail-point that does nothing proves nothing."""
    with pytest.raises(SettingsError, match=r"TRADEWIND_FAILPOINTS: .* is not NAME=ACTION"):
        failpoints.parse(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x\nowner: y\nsummary: z\nport: 1\ncals: []", "unknown: cals"),
        ("name: x\nowner: y\nport: 1", "missing: summary"),
        ("", "missing: name"),
    ],
    ids=["typo", "left out", "empty"],
)
def test_a_manifest_says_what_it_must_and_nothing_else(text: str, complaint: str) -> None:
    """A typo in a key must not silently drop what it was to declare."""
    with pytest.raises(ManifestError, match=complaint):
        manifest.parse(text, "services.x")


def test_a_point_in_time_keeps_its_microseconds_on_the_wire() -> None:
    """PostgreSQL has no finer ones."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert timestamp(at).ToDatetime(UTC) == at


def test_a_hurried_callers_missed_deadline_says_nothing_of_the_peer() -> None:
    """It neither opens a circuit nor lets a failing peer start afresh."""
    breaker = Breaker("short_deadline-peer")

    def fail(problem: Problem, *, short_deadline: bool = False) -> str:
        with pytest.raises(Problem) as raised, breaker.guard(short_deadline=short_deadline):
            raise problem
        return raised.value.reason

    for _ in range(THRESHOLD * 2):
        assert fail(errors.DeadlineExceeded("late"), short_deadline=True) == "DEADLINE_EXCEEDED"
    for _ in range(THRESHOLD - 1):
        fail(errors.Unavailable("down", reason="DOWN"))
    fail(errors.DeadlineExceeded("late"), short_deadline=True)
    assert fail(errors.Unavailable("down", reason="DOWN")) == "DOWN"
    assert fail(errors.Unavailable("down", reason="DOWN")) == "PEER_CIRCUIT_OPEN"


def test_a_peer_that_refuses_is_well() -> None:
    """Failures before its answer and after it are not failures in a row."""
    breaker = Breaker("refusing-peer")

    def fail(problem: Problem) -> str:
        with pytest.raises(Problem) as raised, breaker.guard():
            raise problem
        return raised.value.reason

    for _ in range(3):
        for _ in range(THRESHOLD - 1):
            assert fail(errors.Unavailable("down", reason="DOWN")) == "DOWN"
        assert fail(errors.NotFound("none", reason="NONE")) == "NONE"


GOOD = "name: x\nowner: y\nsummary: z\nport: 1\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a list", "not a mapping"),
        ("name: [x", r"no YAML: .*line 1, column 9"),
        ("name: !!python/object:os.system {}", "no YAML: .*constructor"),
        (GOOD + "scale: {mim: 2}", "scale: unknown: mim"),
        (GOOD + "scale: 3", "scale: not a mapping"),
        (GOOD + "scale: {min: many}", "scale: min: 'many' is not a whole number"),
        (GOOD.replace("1", "'7001'"), "port: '7001' is not a whole number"),
        (GOOD.replace("1", "true"), "port: True is not a whole number"),
        (GOOD.replace("x", "5"), "name: 5 is not a text"),
        (GOOD + "database: perhaps", "database: 'perhaps' is not true or false"),
        (GOOD + "calls: tradewind.catalog.v1.CatalogService/GetProduct", "calls: .* is not a list of texts"),
        (GOOD + "publishes: {a: b}", "publishes: .* is not a list of texts"),
        (GOOD + "consumes: [{a: b}]", "consumes: .* is not a list of texts"),
    ],
)
def test_a_manifest_says_each_thing_in_its_own_way_or_is_refused(text: str, complaint: str) -> None:
    """A list that is a word would be a set of letters, none of which anybody calls. The one line names the file."""
    with pytest.raises(ManifestError, match=rf"^services\.x/service\.yaml: {complaint}") as raised:
        manifest.parse(text, "services.x")
    assert "\n" not in str(raised.value)


def test_a_manifest_may_leave_a_list_empty() -> None:
    """With nothing after the colon, or nothing at all."""
    assert manifest.parse(GOOD + "calls:\nscale: {max: 3}", "services.x") == manifest.Manifest(
        "x", "y", "z", 1, "services.x", scale=manifest.Scale(max=3)
    )


def test_after_a_while_one_call_finds_out_for_all_whether_the_peer_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would wait for a peer that hangs. Who gives up, or has no time, leaves it to the next one."""
    clock = [1000.0]
    monkeypatch.setattr("purgatory.domain.model.time", types.SimpleNamespace(time=lambda: clock[0]))
    breaker = Breaker("hanging-peer")

    def reason() -> str:
        """Why a call fails, if it is made or if it is not."""
        with pytest.raises(errors.Unavailable) as raised, breaker.guard():
            raise errors.Unavailable("down", reason="DOWN")
        return raised.value.reason

    for _ in range(THRESHOLD):
        reason()
    clock[0] += 3
    for probe in (asyncio.CancelledError(), errors.DeadlineExceeded("late")):
        with pytest.raises(type(probe)), breaker.guard(short_deadline=True):
            assert reason() == "PEER_CIRCUIT_OPEN"
            raise probe
    with breaker.guard():
        assert reason() == "PEER_CIRCUIT_OPEN"
    assert reason() == "DOWN"
