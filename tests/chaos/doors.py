"""Channels to the processes themselves, past the edge, which reconnect soon."""

import grpc

from tools.stack.stack import Stack

OPTIONS = [
    # Each its own connection, as every caller in real life.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class Doors:
    """One channel for each process that somebody calls on."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._channels: dict[str, grpc.aio.Channel] = {}

    def __getitem__(self, process: str) -> grpc.aio.Channel:
        """The channel to a process, by its name."""
        if process not in self._channels:
            self._channels[process] = grpc.aio.insecure_channel(self._stack.address(process), OPTIONS)
        return self._channels[process]

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            await channel.close()
