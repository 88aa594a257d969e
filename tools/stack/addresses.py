"""Where everything listens: one table of ports for a person's own stack, free ones for every other."""

import errno
import random
import socket
from collections.abc import Callable
from typing import Final

import psutil

HOST: Final = "127.0.0.1"

DATABASE: Final = 7432
BROKER: Final = 7422
BROKER_MONITOR: Final = 7482
SMTP: Final = 7025
EDGE: Final = 8080
EDGE_ADMIN: Final = 8081

# A service's port is in its manifest; these are added to it.
OPERATIONS_OFFSET: Final = 2000
REPLICA_OFFSET: Final = 100

# Below the range from which the kernel takes the local ports of outgoing connections.
UNCLAIMED: Final = range(16_000, 32_000)

PortPlan = Callable[[int], int]
"""From the port a thing has by default to the one it has in this stack."""


def default_ports(port: int) -> int:
    """Use the ports people know."""
    return port


class FreePorts:
    """Another port for each, free when it was first asked for, so that stacks can run side by side."""

    def __init__(self) -> None:
        self._chosen: dict[int, int] = {}

    def __call__(self, port: int) -> int:
        """The port that stands for `port` here."""
        if port not in self._chosen:
            self._chosen[port] = next(each for each in iter(free_port, None) if each not in self._chosen.values())
        return self._chosen[port]


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now, and that no outgoing connection will take by chance."""
    while True:
        port = random.choice(UNCLAIMED)  # noqa: S311 — no secret
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def who_listens(port: int) -> str:
    """The process that holds a port, in words, as far as this account may know."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            if connection.pid is None:
                break
            process = psutil.Process(connection.pid)
            return f"{process.name()} (pid {process.pid})"
    return "a process of another account"
