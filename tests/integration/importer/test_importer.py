"""The importer against the catalogue: the same file again changes nothing, and a broken stream goes on."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
import stamina

from chassis.core import errors
from chassis.testing import ManualClock, Tokens, running
from services.catalog.__main__ import service
from tests.conftest import NewDatabase
from tools.importer import report, retail
from tools.importer.upload import Upload
from tools.paths import ROOT
from tools.stack import state
from tools.stack.state import ProcessRecord, StateDir

DEMO = ROOT / "tools" / "demo" / "catalogue.csv"


class Breaking(grpc.aio.StreamUnaryClientInterceptor):
    """A way to the shop on which streams break after ten lines, for a while."""

    def __init__(self, times: int) -> None:
        self.times_left = times

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Let the shop take ten lines, then tell the client that nothing is known of them."""
        if not self.times_left:
            return await continuation(client_call_details, request_iterator)
        self.times_left -= 1
        await (await continuation(client_call_details, list(islice(request_iterator, 10))))
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Nobody waits before trying again."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def tokens() -> Tokens:
    """Whom the shop trusts."""
    return Tokens()


@pytest.fixture
async def shop(new_database: NewDatabase, tokens: Tokens) -> AsyncIterator[str]:
    """Where the catalogue is served, with nothing on sale."""
    url = new_database("catalog")
    async with running(service, "services.catalog", database_url=url, clock=ManualClock(), tokens=tokens) as it:
        yield it.target


async def test_a_file_is_imported_once(shop: str, tokens: Tokens) -> None:
    """The second time nothing is sent, and the report is the same."""
    catalogue = retail.read(DEMO)
    async with grpc.aio.insecure_channel(shop) as channel:
        first = await Upload(channel, tokens.staff(), catalogue, "GBP").run(lambda _: None)
        second = await Upload(channel, tokens.staff(), catalogue, "GBP").run(lambda _: None)
    assert (first.report.created, first.report.rejected, first.known_before) == (80, 0, 0)
    assert (second.report, second.known_before) == (first.report, 80)


async def test_a_broken_stream_goes_on_where_it_broke(shop: str, tokens: Tokens) -> None:
    """Each product counts once, and progress only ever grows."""
    progress: list[int] = []
    async with grpc.aio.insecure_channel(shop, interceptors=[Breaking(times=2)]) as channel:
        outcome = await Upload(channel, tokens.staff(), retail.read(DEMO), "GBP").run(progress.append)
    assert (outcome.report.created, outcome.report.unchanged) == (80, 0)
    assert progress == sorted(progress)
    assert progress[-1] == 80


async def test_a_stream_that_always_breaks_is_given_up(shop: str, tokens: Tokens) -> None:
    """After as many attempts as are bearable, with the error of the last."""
    async with grpc.aio.insecure_channel(shop, interceptors=[Breaking(times=9)]) as channel:
        with pytest.raises(errors.Unavailable):
            await Upload(channel, tokens.staff(), retail.read(DEMO), "GBP").run(lambda _: None)


async def test_what_the_shop_refuses_is_reported_among_the_lines(shop: str, tokens: Tokens, tmp_path: Path) -> None:
    """In the order of the file, as a table too."""
    file = tmp_path / "sales.csv"
    file.write_text(
        "StockCode,Description,Quantity,InvoiceDate,UnitPrice\n"
        "TWO WORDS,LAMP,1,1/12/2010,1\n"
        "POST,POSTAGE,1,1/12/2010,1\n"
        "10,LAMP,1,1/12/2010,0.001\n"
    )
    catalogue = retail.read(file)
    async with grpc.aio.insecure_channel(shop) as channel:
        outcome = await Upload(channel, tokens.staff(), catalogue, "GBP").run(lambda _: None)
    lines = report.passed_over(catalogue, outcome)
    assert [(line.line_number, line.reason) for line in lines] == [
        (2, "SKU_INVALID"),
        (3, "CHARGE_NOT_PRODUCT"),
        (4, "PRICE_INVALID"),
    ]
    report.write(tmp_path / "report.csv", lines)
    assert (tmp_path / "report.csv").read_text().splitlines()[:2] == [
        "line_number,reason,message",
        '2,SKU_INVALID,"a SKU has 1 to 32 letters, digits, hyphens and underscores"',
    ]


async def test_the_command_says_what_became_of_a_file(shop: str, tokens: Tokens, tmp_path: Path) -> None:
    """Every line that was not used, then the figures; and that the second time nothing was sent."""
    token = tmp_path / "token"
    token.write_text(tokens.staff())
    first = await run_importer(DEMO, "--address", shop, "--token-file", token)
    assert "line     39  NAME_MISSING         there is no description\n" in first
    assert "nothing was sent" not in first
    assert "nothing was sent, nothing changed" in await run_importer(DEMO, "--address", shop, "--token-file", token)


async def test_a_file_goes_to_the_stack_of_the_checkout(
    shop: str, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever that listens; once it has gone its address may be that of somebody else, who gets no password."""
    token = tmp_path / "token"
    token.write_text(tokens.staff())
    stack = StateDir(tmp_path / "state")
    monkeypatch.setenv("TRADEWIND_STATE_DIR", str(stack.root))
    edge, supervisor = (ProcessRecord(name, "ready", shop) for name in ("edge", "supervisor"))
    state.write(stack, state.Record("ready", supervisor, [edge]))
    with stack.owned():
        assert "Lines passed over" in await run_importer(DEMO, "--token-file", token)
    code, output, complaints = await importer(DEMO, "--token-file", token)
    assert (code, output, complaints) == (1, "", "import: The stack is not running. Start it with: ./taskw up\n")


async def run_importer(*arguments: object) -> str:
    """What the importer prints as it succeeds."""
    code, output, complaints = await importer(*arguments)
    assert code == 0, complaints
    return output


async def importer(*arguments: object) -> tuple[int | None, str, str]:
    """Run the importer; its exit code, what it printed, and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.importer", *map(str, arguments), stdout=PIPE, stderr=PIPE
    )
    output, complaints = await process.communicate()
    return process.returncode, output.decode(), complaints.decode()
