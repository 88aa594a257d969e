"""Command line: `dead-letters list|show|redrive|discard`, `replay` and `sagas list|explain|retry|force`, each of a SERVICE."""

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from rich.console import Console

from chassis.contract import status
from tools.ops import connection
from tools.ops.connection import TOKEN_VARIABLE, Connection
from tools.ops.dead_letters import DeadLetterCommands
from tools.ops.replay import replay
from tools.ops.sagas import DIRECTIONS, STATES, SagaCommands
from tools.stack.errors import StackError
from tools.stack.terminal import open_console

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_TIME_FORM = "2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d"


def main() -> int:
    """Do what the command line says. Exit code 1: it did not come out as asked, and a message says why."""
    arguments = _parser().parse_args()
    try:
        return asyncio.run(_run(arguments, open_console()))
    except StackError as error:
        print(error, file=sys.stderr)
    except grpc.aio.AioRpcError as error:
        print(_complaint(error, arguments), file=sys.stderr)
    return 1


def _complaint(error: grpc.aio.AioRpcError, arguments: argparse.Namespace) -> str:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return f"{arguments.service} serves no {arguments.command}"
    return str(status.from_rpc_error(error))


async def _run(arguments: argparse.Namespace, console: Console) -> int:
    to = await connection.connect(arguments)
    try:
        return 0 if await _command(arguments, to, console) else 1
    finally:
        await to.close()


def _command(arguments: argparse.Namespace, to: Connection, console: Console) -> Awaitable[bool]:
    match arguments.command:
        case "dead-letters":
            return _dead_letters(arguments, DeadLetterCommands(to, console))
        case "sagas":
            return _sagas(arguments, SagaCommands(to, console))
        case _:
            return replay(to, console, arguments.since)


def _dead_letters(arguments: argparse.Namespace, commands: DeadLetterCommands) -> Awaitable[bool]:
    match arguments.action:
        case "list":
            return commands.show_all()
        case "show":
            return commands.show(arguments.event_id)
        case "redrive":
            return commands.redrive(arguments.event_id or "")
        case _:
            return commands.discard(arguments.event_id, arguments.note)


def _sagas(arguments: argparse.Namespace, commands: SagaCommands) -> Awaitable[bool]:
    match arguments.action:
        case "list":
            return commands.show_all(arguments.state, arguments.limit)
        case "explain":
            return commands.explain(arguments.saga_id)
        case "retry":
            return commands.retry(arguments.saga_id, arguments.note)
        case _:
            return commands.force(arguments.saga_id, arguments.direction, arguments.note)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./taskw", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_dead_letters(commands.add_parser("dead-letters", help="facts that could not take effect"))
    _add_sagas(commands.add_parser("sagas", help="sagas, and what to do with those that cannot end"))
    again = commands.add_parser("replay", help="publish facts again that the broker has lost")
    _add_service(again)
    again.add_argument("--since", type=_time, required=True, help=_TIME_FORM)
    return parser


def _add_dead_letters(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    _add_service(actions.add_parser("list", help="those nobody has resolved"))
    for name, text in (
        ("show", "one of them"),
        ("redrive", "try one again, or all"),
        ("discard", "decide that one shall never take effect"),
    ):
        action = actions.add_parser(name, help=text)
        _add_service(action)
        action.add_argument("event_id", nargs="?" if name == "redrive" else None, help="as `list` shows it")
        if name == "discard":
            action.add_argument("--note", required=True, help="why, for the record")


def _add_sagas(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="those in one state, the oldest first")
    _add_service(listing)
    listing.add_argument("--state", choices=STATES, default="NEEDS_OPERATOR", help="default: NEEDS_OPERATOR")
    listing.add_argument("--limit", type=int, default=100, help="how many at most (default: 100)")
    for name, text in (
        ("explain", "one as a story"),
        ("retry", "try the step again that one is at"),
        ("force", "turn one by hand"),
    ):
        action = actions.add_parser(name, help=text)
        _add_service(action)
        action.add_argument("saga_id", help="as `list` shows it; a checkout's is its order's")
        if name == "force":
            action.add_argument("direction", choices=DIRECTIONS)
        if name != "explain":
            action.add_argument("--note", required=True, help="why, for the record")


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", help="its name, by which the local stack finds it")
    where = parser.add_argument_group("where it is (default: in the local stack, as its staff)")
    where.add_argument("--address", metavar="HOST:PORT", help="of any process of the service")
    where.add_argument("--token-file", type=Path, help=f"holds an access token of staff (default: ${TOKEN_VARIABLE})")
    where.add_argument("--tls", action="store_true", help="speak TLS with --address")
    where.add_argument("--ca-file", type=Path, help="whom to trust, PEM (default: the system's authorities)")
    where.add_argument("--cert-file", type=Path, help="the client's certificate, PEM, where one is demanded")
    where.add_argument("--key-file", type=Path, help="its key, PEM")


def _time(text: str) -> datetime:
    try:
        return _moment(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: {_TIME_FORM}") from None


def _moment(text: str) -> datetime:
    """A point in time, given as such or as an age."""
    age = re.fullmatch(r"(\d+)([mhd])", text)
    if age:
        return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
