"""Command line of the local stack."""

import argparse
import sys

from tools.stack import commands
from tools.stack.errors import StackError


def main() -> int:
    """Do what the command line says; an error is one clear message and exit code 1."""
    arguments = _parser().parse_args()
    directory = commands.default_directory()
    try:
        match arguments.command:
            case "up":
                commands.up(directory, arguments.replicas, free_ports=arguments.free_ports)
            case "down":
                commands.down(directory)
            case "status":
                commands.status(directory)
            case "logs":
                commands.logs(directory, arguments.service, follow=arguments.follow)
            case "supervise":
                commands.run(directory, arguments.replicas or 1, free_ports=arguments.free_ports)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./taskw", description="PostgreSQL, NATS, the edge and every service, locally."
    )
    commands_ = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start everything in the background"), ("supervise", "run everything in the foreground")):
        command = commands_.add_parser(name, help=text)
        command.add_argument("--replicas", type=_replicas, help="processes of each service (default: 1)")
        command.add_argument(
            "--free-ports", action="store_true", help="listen where nobody does yet, not on the ports of README.md"
        )
    commands_.add_parser("down", help="stop everything")
    commands_.add_parser("status", help="show what runs")
    logs = commands_.add_parser("logs", help="show what a process has written")
    logs.add_argument("service", help="a name as `status` shows it")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    return parser


def _replicas(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
