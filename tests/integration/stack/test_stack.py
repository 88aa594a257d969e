"""The local stack: everything comes up, dies, comes back and goes down as it should, beside whatever else runs here."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import nats
import psutil
import psycopg
import pytest

from tests.conftest import open_directory
from tests.integration.stack.command_line import CommandLine
from tools.stack import orphans, state
from tools.stack.addresses import DATABASE, HOST, FreePorts
from tools.stack.errors import StackError
from tools.stack.options import Options
from tools.stack.stack import Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack on free ports."""
    with open_directory() as directory, Stack(directory, Options(ports=FreePorts(), durable=False)) as running:
        yield running


@pytest.fixture
def command_line(server_directory: Path) -> Iterator[CommandLine]:
    """The command line, with a state directory of its own."""
    commands = CommandLine(server_directory)
    yield commands
    commands("down")


def test_everything_is_healthy_when_up_returns(stack: Stack) -> None:
    """The first request a person makes is answered, through the edge and the service from its database."""
    assert {process.state for process in stack.processes()} == {"ready"}
    answer = httpx.get(f"{stack.edge_url}/v1/products", trust_env=False)
    assert (answer.status_code, answer.json()["products"]) == (200, [])


def test_no_service_reaches_the_database_of_another(stack: Stack) -> None:
    """Its role may connect to its own database and to no other."""
    own = stack.secret("orders", "database_url")
    psycopg.connect(own).close()
    with pytest.raises(psycopg.OperationalError, match='permission denied for database "payments"'):
        psycopg.connect(own.removesuffix("orders") + "payments")


async def test_no_service_publishes_for_another(stack: Stack) -> None:
    """The broker refuses a subject that the manifest does not name."""
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    client = await nats.connect(
        f"nats://{stack.address('broker')}",
        user="orders",
        password=stack.secret("orders", "nats_password"),
        error_cb=errors.put,
    )
    await client.publish("tradewind.payments.v1.PaymentCaptured.x", b"")
    error = await asyncio.wait_for(errors.get(), 10)
    await client.close()
    assert "permissions violation" in str(error).lower()


def test_secrets_are_for_their_owner_alone(stack: Stack) -> None:
    """Nobody else on the machine reads a password."""
    files = list(stack.directory.root.glob("secrets/*/*"))
    files += [stack.directory.broker / "nats.json", stack.directory.broker / "password"]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def test_what_is_killed_is_replaced(stack: Stack) -> None:
    """Another process takes the place of the dead one and becomes healthy."""
    before = stack.pid("catalog")
    stack.kill("catalog")
    stack.wait_until_healthy("catalog")
    assert (stack.pid("catalog") != before, stack.deaths("catalog")) == (True, 1)


def test_variables_for_once_are_not_for_the_next_process(stack: Stack) -> None:
    """A process armed with a fail-point is replaced by one without."""
    stack.restart("inventory", once={"TRADEWIND_FAILPOINTS": "nowhere=kill"})
    assert "TRADEWIND_FAILPOINTS" in psutil.Process(stack.pid("inventory")).environ()
    stack.kill("inventory")
    stack.wait_until_healthy("inventory")
    assert "TRADEWIND_FAILPOINTS" not in psutil.Process(stack.pid("inventory")).environ()


async def test_a_broker_that_lost_its_disk_is_provisioned_again(stack: Stack) -> None:
    """Streams and consumers are made anew before the broker counts as healthy."""
    shutil.rmtree(stack.directory.broker / "jetstream")
    stack.kill("broker")
    stack.wait_until_healthy("broker")
    password = (stack.directory.broker / "password").read_text()
    client = await nats.connect(f"nats://admin:{password}@{stack.address('broker')}")
    streams = {stream.config.name for stream in await client.jetstream().streams_info()}
    await client.close()
    assert {"CATALOG", "ORDERS", "PAYMENTS"} <= streams


def test_a_taken_port_is_named_with_its_owner(server_directory: Path) -> None:
    """Before anything is started, the message says which port, who has it, and what to do."""
    ports = FreePorts()
    owner = rf"database needs port {ports(DATABASE)}, which .* \(pid {os.getpid()}\) uses already"
    message = rf"^{owner}; end it, or use other ports: ./taskw up --free-ports$"
    with socket.create_server((HOST, ports(DATABASE))), pytest.raises(StackError, match=message):
        Stack(server_directory, Options(ports=ports)).up()


def test_a_demo_without_a_stack_says_why_and_no_more(command_line: CommandLine) -> None:
    """No story has begun that could take a turn, and no service has logged anything."""
    with command_line.directory.owned():
        demo = command_line(module="tools.demo")
    why = f"The supervisor ended:\n  a stack already runs in {command_line.directory.root}\n"
    assert (demo.returncode, demo.stdout, demo.stderr) == (1, "", why)


def test_a_service_that_cannot_start_says_why(server_directory: Path) -> None:
    """`up` fails with the end of its log, and leaves nothing running."""
    options = Options(
        ports=FreePorts(),
        services={"identity", "catalog"},
        durable=False,
        overrides={"catalog": {"TRADEWIND_PEER_IDENTITY": "guessed"}},
    )
    stack = Stack(server_directory, options)
    with pytest.raises(
        StackError, match=r"(?s)catalog died while starting:.*'guessed' is none of mtls, xfcc, asserted"
    ):
        stack.up()
    assert {process.state for process in stack.processes()} == {"stopped"}


@pytest.mark.parametrize(
    ("elsewhere", "complaint"),
    [
        ({"nats_url": "nats://127.0.0.1:1"}, "The broker cannot be used: .*127.0.0.1"),
        ({"nats_url": "nats://127.0.0.1:x"}, "The broker cannot be used: .*url"),
        ({"database_url": "postgresql://127.0.0.1:1"}, "The database server cannot be used: .*127.0.0.1"),
        ({"database_url": "postgresql:x"}, "The database server cannot be used: .*connection info"),
    ],
)
def test_servers_of_somebody_else_that_are_of_no_use_are_named(
    server_directory: Path, elsewhere: dict[str, str], complaint: str
) -> None:
    """At once, and not by those who wait for what should have stood on them."""
    stack = Stack(server_directory, Options(ports=FreePorts(), services={"identity"}, durable=False, **elsewhere))
    with pytest.raises(StackError, match=complaint):
        stack.up()


def test_the_command_line_from_up_to_down(command_line: CommandLine) -> None:
    """Up prints the addresses and may be said twice; status shows all of it; logs reads; down leaves nothing."""
    up = command_line("up", "--free-ports")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "All healthy after" in up.stdout
    assert "running already" in command_line("up", "--replicas", "1").stdout

    status = command_line("status")
    assert (status.returncode, status.stdout.count(" ready ")) == (0, len(command_line.record().processes) + 1)
    assert '"started"' in command_line("logs", "orders").stdout
    assert "There is no log of 'nobody'" in command_line("logs", "nobody").stderr

    processes = [command_line.record().supervisor, *command_line.record().processes]
    assert [process for process in processes if not orphans.find(process)] == []
    down = command_line("down")
    assert (down.returncode, down.stdout, down.stderr) == (0, "", "")
    assert not any(orphans.find(process) for process in processes)
    assert command_line("status").returncode == 1


def test_what_goes_into_a_pipe_is_whole(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow the terminal is said to be, and though the locale knows ASCII alone."""
    for name, value in {"COLUMNS": "40", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    up = command_line("up", "--free-ports")
    assert f"Logs: {command_line.directory.log('SERVICE')}\n" in up.stdout
    rows = [line.split() for line in command_line("status").stdout.splitlines()]
    assert [row[:3] for row in rows[1:-1]] == [[p.name, "ready", p.address] for p in command_line.record().processes]

    demo = command_line(module="tools.demo")
    assert (demo.returncode, demo.stderr) == (0, "")
    assert f"mails: {command_line.directory.mail}    logs: " in demo.stdout


def test_options_that_would_be_ignored_are_refused(command_line: CommandLine) -> None:
    """A stack that runs keeps the replicas it was started with; it is left alone, and the message says how to go on."""
    assert command_line("up", "--free-ports").returncode == 0
    more = command_line("up", "--free-ports", "--replicas", "2")
    message = "The stack is running already, with --replicas 1 --free-ports: run ./taskw down first\n"
    assert (more.returncode, more.stdout, more.stderr) == (1, "", message)
    assert command_line("status").returncode == 0


def test_an_up_that_is_interrupted_leaves_nothing(command_line: CommandLine) -> None:
    """What has been started meanwhile goes down again, and somebody says so."""
    up = command_line.start("up", "--free-ports")
    processes = command_line.until_something_runs()
    up.send_signal(signal.SIGINT)
    output, complaints = up.communicate(timeout=60)
    assert (up.returncode, output, complaints) == (130, "Interrupted: taking everything down again…\n", "")
    assert not any(orphans.find(process) for process in processes)
    assert state.read(command_line.directory) is None


def test_down_cleans_up_after_a_killed_supervisor(command_line: CommandLine) -> None:
    """Children outlive a supervisor that was killed; the record tells them from strangers."""
    assert command_line("up", "--free-ports").returncode == 0
    record = command_line.record()
    supervisor = orphans.find(record.supervisor)
    assert supervisor is not None
    supervisor.kill()
    orphans.wait([record.supervisor], 10)
    assert "gone" in command_line("status").stdout

    assert command_line("down").returncode == 0
    assert not any(orphans.find(process) for process in record.processes)


def test_a_later_process_of_the_same_id_is_spared(server_directory: Path) -> None:
    """What is ended is the process that was recorded, not whoever has its number today."""
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=server_directory)
    try:
        orphans.end([state.ProcessRecord(name="old", state="ready", address="", pid=bystander.pid, started=1.0)])
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")
