"""Command line: `dead-letters list|show|redrive SERVICE [ID]` and `replay SERVICE --since TIME`."""

import argparse
import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta

from rich.console import Console

from chassis.core.errors import Problem
from chassis.database import Database
from chassis.messaging.dead_letters import DeadLetters
from chassis.messaging.replay import replay
from tools.ops import dead_letters
from tools.ops.databases import database_of
from tools.stack.errors import StackError
from tools.stack.terminal import open_console

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_TIME_FORM = "2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d"


def main() -> int:
    """Do what the command line says. Exit code 1: it did not come out as asked, and a message says why."""
    arguments = _parser().parse_args()
    try:
        return asyncio.run(_run(arguments, open_console()))
    except (StackError, Problem) as error:
        print(error, file=sys.stderr)
        return 1


async def _run(arguments: argparse.Namespace, console: Console) -> int:
    async with database_of(arguments.service) as database:
        if arguments.command == "replay":
            count = await replay(database, arguments.since)
            console.print(f"{count} facts since {arguments.since.isoformat(' ', 'seconds')} will be published again")
            return 0
        return await _dead_letters(arguments, database, console)


async def _dead_letters(arguments: argparse.Namespace, database: Database, console: Console) -> int:
    if arguments.action == "list":
        await dead_letters.list_(database, console)
        return 0
    letters = await DeadLetters(database).find(arguments.event_id) if arguments.event_id else []
    if arguments.event_id is not None and not letters:
        raise StackError(f"{arguments.service} has no dead letter {arguments.event_id}")
    if arguments.action == "redrive":
        return 0 if await dead_letters.redrive(database, arguments.event_id, console) else 1
    dead_letters.show(letters, console)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./taskw", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    dead = commands.add_parser("dead-letters", help="facts that could not take effect")
    actions = dead.add_subparsers(dest="action", required=True)
    for name, text in (("list", "those nobody has resolved"), ("show", "one of them"), ("redrive", "try again")):
        action = actions.add_parser(name, help=text)
        action.add_argument("service", help="the consuming service")
        if name != "list":
            action.add_argument("event_id", nargs="?" if name == "redrive" else None, help="as `list` shows it")
    again = commands.add_parser("replay", help="publish facts again that the broker has lost")
    again.add_argument("service", help="the publishing service")
    again.add_argument("--since", type=_time, required=True, help=_TIME_FORM)
    return parser


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
