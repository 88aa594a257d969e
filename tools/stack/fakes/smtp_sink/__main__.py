"""Serve the sink until told to stop: `python -m tools.stack.fakes.smtp_sink HOST:PORT DIRECTORY`."""

import argparse
import asyncio
import signal
from functools import partial
from pathlib import Path

import uvloop
from aiosmtpd.smtp import SMTP

from tools.stack.fakes.smtp_sink.sink import Sink


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="smtp_sink", description=__doc__)
    parser.add_argument("address", help="where to listen, HOST:PORT")
    parser.add_argument("directory", type=Path, help="where to keep the mails")
    arguments = parser.parse_args()
    host, _, port = arguments.address.rpartition(":")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    uvloop.run(serve(host, int(port), arguments.directory))


async def serve(host: str, port: int, directory: Path) -> None:
    """Accept mail until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    session = partial(SMTP, Sink(directory), enable_SMTPUTF8=True, ident="Tradewind sink")
    server = await loop.create_server(session, host, port)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    main()
