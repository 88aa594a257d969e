"""Command line of the demo: brings the stack up unless it is, tells the story, takes down what it brought up."""

import argparse
import asyncio
import sys

import grpc
import httpx

from chassis.core.errors import Problem
from tools.client.shop import ApiError, Shop
from tools.demo.stage import NotAsTold, Stage
from tools.demo.story import LANTERN, Story
from tools.stack import commands, state
from tools.stack.errors import StackError

NOT_AS_TOLD, INTERRUPTED = 1, 130


def main() -> int:
    """0 only if every outcome was as told."""
    about = "Start everything unless it is up, play a shopper's morning against it, stop what was started."
    argparse.ArgumentParser(prog="./taskw demo", description=about).parse_args()
    directory = commands.default_directory()
    was_up = directory.is_owned()
    try:
        commands.up(directory)
        _play(directory, Stage(), keeps_running=was_up)
    except StackError as error:
        print(error, file=sys.stderr)
        return NOT_AS_TOLD
    except (NotAsTold, Problem, ApiError, grpc.RpcError, httpx.HTTPError) as error:
        print(
            f"\nThis is not how the story goes: {str(error) or repr(error)}\nSee ./taskw logs SERVICE.", file=sys.stderr
        )
        return NOT_AS_TOLD
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _play(directory: state.StateDir, stage: Stage, *, keeps_running: bool) -> None:
    try:
        asyncio.run(_tell(directory, stage))
        _show_around(stage, directory, keeps_running=keeps_running)
    finally:
        if not keeps_running:
            try:
                stage.say("stopping…")
            finally:  # Whoever reads along may have gone.
                commands.down(directory)
    stage.say("[green]Everything came out as told.[/]")


async def _tell(directory: state.StateDir, stage: Stage) -> None:
    shop = Shop(state.running(directory).address("edge"))
    staff = directory.secrets("identity")
    email, password = ((staff / name).read_text().strip() for name in ("staff_email", "staff_password"))
    try:
        await Story(shop, stage, directory.mail, email, password).tell()
    finally:
        await shop.close()


def _show_around(stage: Stage, directory: state.StateDir, *, keeps_running: bool) -> None:
    edge, orders, catalog = map(state.running(directory).address, ("edge", "orders", "catalog"))
    stage.chapter("Try it yourself" if keeps_running else "Try it yourself: ./taskw up, then")
    stage.command(f"curl 'http://{edge}/v1/products?page_size=3'")
    stage.command(f"curl http://{edge}/openapi.json")
    stage.command(f"grpcurl -plaintext {orders} describe tradewind.orders.v1.OrderService")
    product = f'-d \'{{"sku": "{LANTERN}"}}\' {catalog} tradewind.catalog.v1.CatalogService/GetProduct'
    stage.command(f"grpcurl -plaintext {product}")
    stage.command(f"mails: {directory.mail}    logs: ./taskw logs orders    all tasks: ./taskw\n")


if __name__ == "__main__":
    sys.exit(main())
