"""What a person sees who looks after dead letters."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.messaging.dead_letters import Reason
from chassis.messaging.inbox import ReceivedMessage
from tests.conftest import Nats, NewDatabase
from tests.integration.messaging.facts import LISTENER, PLACED, TELLER, placed
from tests.integration.messaging.listener import Listener, hearing, listening
from tools.paths import ROOT
from tradewind.identity.v1.user_events_pb2 import UserRegistered


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    """Where the consuming service's database is."""
    return new_database("chassis")


@pytest.fixture
async def listener(url: str) -> AsyncIterator[Listener]:
    """The consuming service."""
    async with listening(url) as listener:
        yield listener


@pytest.fixture
def state_dir(url: str, tmp_path: Path) -> Path:
    """The directory of a stack that has the service."""
    secrets = tmp_path / "state" / "secrets" / "listener"
    secrets.mkdir(parents=True)
    (secrets / "database_url").write_text(url)
    return tmp_path / "state"


async def test_a_dead_letter_is_listed_shown_and_redriven(listener: Listener, state_dir: Path, tmp_path: Path) -> None:
    """From the first look until it has taken effect."""
    message = ReceivedMessage(
        f"{PLACED}.order-1",
        {"ce-id": "event-1", "ce-type": PLACED, "ce-subject": "order-1", "ce-time": "2026-01-01T00:00:00+00:00"},
        placed("order-1").SerializeToString(),
    )
    await listener.dead_letters.bury("listener", "event-1", message, 8, Reason.FAILED, "ValueError('cannot hear')")
    code, listed = await events(state_dir, "dead-letters", "list", "listener")
    assert code == 0
    assert "event-1" in listed
    assert "OrderPlaced" in listed
    code, shown = await events(state_dir, "dead-letters", "show", "listener", "event-1")
    assert code == 0
    assert '"order_id": "order-1"' in shown
    nats = Nats(tmp_path / "nats", [TELLER, LISTENER])
    await nats.start()
    async with hearing(listener, nats):
        code, redriven = await events(state_dir, "dead-letters", "redrive", "listener", "event-1")
    await nats.stop()
    assert (code, redriven) == (0, "1 tried again; 0 unresolved\n")
    assert await listener.heard() == ["order-1/1"]


async def test_one_letter_s_redrive_says_nothing_about_the_others(
    listener: Listener, state_dir: Path, tmp_path: Path
) -> None:
    """They are as dead as before, and nobody has asked for them."""
    for event_id, order_id in (("event-1", "order-1"), ("event-2", "order-2")):
        headers = {"ce-id": event_id, "ce-type": PLACED, "ce-time": "2026-01-01T00:00:00+00:00"}
        message = ReceivedMessage(f"{PLACED}.{order_id}", headers, placed(order_id).SerializeToString())
        await listener.dead_letters.bury("listener", event_id, message, 8, Reason.FAILED, "")
    nats = Nats(tmp_path / "nats", [TELLER, LISTENER])
    await nats.start()
    async with hearing(listener, nats):
        redriven = await events(state_dir, "dead-letters", "redrive", "listener", "event-1")
    await nats.stop()
    assert redriven == (0, "1 tried again; 0 unresolved\n")
    assert [dead.event_id for dead in await listener.dead_letters.unresolved(10)] == ["event-2"]


async def test_what_a_letter_says_is_shown_as_it_is(listener: Listener, state_dir: Path) -> None:
    """Also what would be markup to a terminal."""
    fact = placed("[/bold]")
    message = ReceivedMessage("subject", {"ce-type": PLACED, "ce-subject": "[red]"}, fact.SerializeToString())
    await listener.dead_letters.bury("listener", "event-1", message, 1, Reason.FAILED, "KeyError('[/a]')")
    code, listed = await events(state_dir, "dead-letters", "list", "listener")
    assert code == 0
    assert "[red]" in listed
    assert "KeyError('[/a]')" in listed
    code, shown = await events(state_dir, "dead-letters", "show", "listener", "event-1")
    assert code == 0
    assert '"order_id": "[/bold]"' in shown


async def test_what_is_secret_in_a_fact_is_not_shown(listener: Listener, state_dir: Path) -> None:
    """An address is nobody's business who looks after letters; that there is one is."""
    event = UserRegistered(user_id="user-1", email="ada@example.com")
    message = ReceivedMessage("subject", {"ce-type": event.DESCRIPTOR.full_name}, event.SerializeToString())
    await listener.dead_letters.bury("listener", "event-1", message, 1, Reason.FAILED, "")
    _, shown = await events(state_dir, "dead-letters", "show", "listener", "event-1")
    assert "user-1" in shown
    assert '"email": "[redacted]"' in shown


@pytest.mark.usefixtures("listener")
async def test_what_is_not_there_is_said_so(state_dir: Path) -> None:
    """With an exit code a script can see."""
    assert (await events(state_dir, "dead-letters", "list", "nobody"))[0] == 1
    for action in ("show", "redrive"):
        process = await start(state_dir, "dead-letters", action, "listener", "event-9")
        assert await process.communicate() == (b"", b"listener has no dead letter event-9\n")
        assert process.returncode == 1
    assert await events(state_dir, "dead-letters", "redrive", "listener") == (0, "nothing to redrive\n")
    assert await events(state_dir, "dead-letters", "list", "listener") == (0, "no dead letters\n")
    code, replayed = await events(state_dir, "replay", "listener", "--since", "2h")
    assert code == 0
    assert replayed.startswith("0 facts since ")


async def events(state_dir: Path, *arguments: str) -> tuple[int | None, str]:
    """Run the tool; its exit code, and what it printed."""
    process = await start(state_dir, *arguments)
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def start(state_dir: Path, *arguments: str) -> Process:
    """Run the tool, without waiting for its end."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.ops", *arguments),
        cwd=ROOT,
        env={
            **os.environ,
            "TRADEWIND_STATE_DIR": str(state_dir),
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
