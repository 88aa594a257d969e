"""Server reflection: what the process serves, for tools that bring no protos along."""

from collections.abc import Iterable
from typing import Any, cast

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection


def enable(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Lets a server describe these services, and how it does so."""
    contracts = cast(DescriptorPool, _Contracts())
    reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), server, pool=contracts)


class _Contracts:
    """Every proto that is imported. Protobuf's own pool does not find the file of a method, by which ghz and grpcurl ask."""

    def __init__(self) -> None:
        self._pool = Default()

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """The file that declares a message, an enum, a service or a method. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)
