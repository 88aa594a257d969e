"""Command line of the importer."""

import argparse
import asyncio
import sys
from pathlib import Path

import grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from chassis.core.errors import Problem
from tools.importer import report, retail
from tools.importer.upload import Outcome, Upload, log_in
from tools.stack import state
from tools.stack.commands import default_directory
from tools.stack.errors import StackError
from tools.stack.terminal import open_console

UNREADABLE, REFUSED = 2, 1


def main() -> int:
    """Read the file, send it, say what became of it. 0: imported; 1: no shop, or it refused; 2: the file is no catalogue."""
    arguments = _parse()
    set_on_retry_hooks([_tell_of_break])
    try:
        return _import(arguments.address or state.running(default_directory()).address("edge"), arguments)
    except StackError as error:
        print(f"import: {error}", file=sys.stderr)
        return REFUSED


def _import(address: str, arguments: argparse.Namespace) -> int:
    try:
        catalogue = retail.read(arguments.file)
        outcome = asyncio.run(_send(address, catalogue, arguments))
    except (OSError, retail.NotRetailFormat) as error:
        print(f"import: {error}", file=sys.stderr)
        return UNREADABLE
    except Problem as problem:
        print(f"import: {address}: {problem}", file=sys.stderr)
        return REFUSED
    report.show(open_console(), catalogue, outcome, arguments.show)
    if arguments.report:
        report.write(arguments.report, report.passed_over(catalogue, outcome))
    return 0


async def _send(address: str, catalogue: retail.Catalogue, arguments: argparse.Namespace) -> Outcome:
    async with grpc.aio.insecure_channel(address) as channel:
        token = await _token(channel, arguments)
        upload = Upload(channel, token, catalogue, arguments.currency)
        with _progress() as progress:
            task = progress.add_task(arguments.file.name, total=len(catalogue.products))
            return await upload.run(lambda sent: progress.update(task, completed=sent))


async def _token(channel: grpc.aio.Channel, arguments: argparse.Namespace) -> str:
    if arguments.token_file:
        return _content(arguments.token_file)
    return await log_in(channel, _content(arguments.email_file), _content(arguments.password_file))


def _content(path: Path) -> str:
    if not path.exists():
        sys.exit(f"import: {path} is missing: bring the shop up with ./taskw up, or give --token-file")
    return path.read_text(encoding="utf-8").strip()


def _tell_of_break(details: RetryDetails) -> None:
    print(f"import: {details.caused_by}; going on in {details.wait_for:.1f} s", file=sys.stderr)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./taskw import", description="Import a catalogue in the format of a shop's sales file."
    )
    parser.add_argument("file", type=Path, help="sales lines, comma-separated (see tools/importer/retail.py)")
    parser.add_argument(
        "--address", help="the shop's edge, or its catalog service (default: the edge of this checkout's stack)"
    )
    parser.add_argument("--currency", default="GBP", help="of the file's prices (default: %(default)s)")
    staff = default_directory().secrets("identity")
    parser.add_argument(
        "--email-file", type=Path, default=staff / "staff_email", help="holds a staff account's address"
    )
    parser.add_argument("--password-file", type=Path, default=staff / "staff_password", help="holds its password")
    parser.add_argument("--token-file", type=Path, help="holds a staff access token, instead of logging in")
    parser.add_argument(
        "--show", type=int, default=200, help="how many lines passed over to print (default: %(default)s)"
    )
    parser.add_argument("--report", type=Path, help="write all lines passed over to this file, comma-separated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
