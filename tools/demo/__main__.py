"""Command line of the demo: brings the stack up unless it is, tells the story, takes down what it brought up."""

import asyncio
import sys

import grpc
import httpx

from chassis.errors import Problem
from tools.demo.shop import Refused, Shop
from tools.demo.stage import NotAsTold, Stage
from tools.demo.story import LANTERN, Story
from tools.stack import commands, state
from tools.stack.errors import StackError

NOT_AS_TOLD = 1


def main() -> int:
    """0 only if every outcome was as told."""
    directory = commands.default_directory()
    stage = Stage()
    was_up = directory.is_owned()
    try:
        commands.up(directory)
        asyncio.run(_tell(directory, stage))
        _show_around(stage, directory, keeps_running=was_up)
    except (NotAsTold, StackError, Problem, Refused, grpc.RpcError, httpx.HTTPError) as error:
        print(
            f"\nThis is not how the story goes: {str(error) or repr(error)}\nSee ./taskw logs SERVICE.", file=sys.stderr
        )
        return NOT_AS_TOLD
    finally:
        if not was_up:
            stage.say("stopping…")
            commands.down(directory)
    stage.say("[green]Everything came out as told.[/]")
    return 0


async def _tell(directory: state.StateDir, stage: Stage) -> None:
    shop = Shop(_edge(directory))
    try:
        staff = directory.secrets("identity")
        await Story(
            shop,
            stage,
            directory.mail,
            (staff / "staff_email").read_text().strip(),
            (staff / "staff_password").read_text().strip(),
        ).tell()
    finally:
        await shop.close()


def _edge(directory: state.StateDir) -> str:
    record = state.read(directory)
    assert record is not None
    return next(process.address for process in record.processes if process.name == "edge")


def _show_around(stage: Stage, directory: state.StateDir, *, keeps_running: bool) -> None:
    edge = _edge(directory)
    stage.chapter("Try it yourself" if keeps_running else "Try it yourself: ./taskw up, then")
    stage.say(f"curl http://{edge}/v1/products?page_size=3")
    stage.say(f"curl http://{edge}/openapi.json")
    stage.say("grpcurl -plaintext 127.0.0.1:7005 describe tradewind.orders.v1.OrderService")
    stage.say(
        f'grpcurl -plaintext -d \'{{"sku": "{LANTERN}"}}\' 127.0.0.1:7002 tradewind.catalog.v1.CatalogService/GetProduct'
    )
    stage.say(f"mails: {directory.mail}    logs: ./taskw logs orders    all tasks: ./taskw\n")


if __name__ == "__main__":
    sys.exit(main())
